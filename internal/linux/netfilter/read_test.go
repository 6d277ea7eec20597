//go:build linux

package netfilter

import (
	"context"
	"testing"
	"fmt"
	"os"
	"time"
)

func TestTry(t *testing.T) {
	if os.Getenv("TRY")=="" { t.Skip() }
	start:=time.Now()
	s, err := Read(context.Background(), 100)
	fmt.Println(err, s.Rules, s.Left, time.Since(start))
	for _, r := range s.Bearing {
		fmt.Printf("%s/%s/%s#%d %v nat=%+v count=%+v rate=%+v %+v\n", r.Family,r.Table,r.Chain,r.Handle, s.Hooks(Chain{r.Family,r.Table,r.Chain}), r.NAT, r.Count, r.Rate, r)
	}
	for _,f:=range []bool{true,false}{
	start=time.Now()
	n:=0
	err=Entries(context.Background(), f, func(){n=0}, func(e Entry){n++; if n<5 {fmt.Println(e)}})
	fmt.Println(f, err,n,time.Since(start))
	}
}
