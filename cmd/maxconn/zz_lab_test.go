package main

import (
	"os"
	"testing"

	"github.com/maxconn/maxconn/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(); os.Exit(m.Run()) }
