package lint

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// format is a kind of file: how it is told, and what reads it.
type format struct {
	name string
	// files are patterns of the last part of a path, or of as many as they have.
	files string
	// tags are what such text is called behind ``` and the like.
	tags string
	// role is what reads single lines that are written into such a file.
	role role
	// whole says that every line is understood: a file that sets nothing is clean then.
	whole bool
	// apart says that two names of one setting belong to two things, so that no line wins
	// over another.
	apart bool
	// by is what reads it, with what that needs to know.
	by    reader
	lang  *language
	words *wordFile

	patterns, names []string
}

// reader is what reads a format.
type reader uint8

const (
	byNone reader = iota // lint knows the format and does not read it
	byLines
	byBraces
	byWords
	byYAML
	byDockerfile
	byNginx
	byHAProxy
	byMarkdown
	byMarks
	byHTML
	bySniffing
)

// readAll takes all of a text in a format.
func (p *parser) readAll(f *format, all *rows) {
	switch f.by {
	case byLines:
		p.read(all, f.role)
	case byBraces:
		p.braces(all, f.lang)
	case byWords:
		p.words(all, f.words)
	case byYAML:
		p.yamlFile(all)
	case byDockerfile:
		p.dockerfile(all)
	case byNginx:
		p.nginx(all)
	case byHAProxy:
		p.haproxy(all)
	case byMarkdown:
		p.markdown(all)
	case byMarks:
		p.marked(all)
	case byHTML:
		p.html(all)
	case bySniffing:
		p.anyText(all)
	}
}

// What is read where the format is not known, and a shell's.
var (
	anything  = &format{name: "text", files: "*.txt", tags: "text txt", by: bySniffing}
	shellText = &format{name: "shell", by: byLines, role: shellRole,
		files: "*.sh *.bash *.zsh *.ksh *.env *.ks *.run *.preinst *.postinst .envrc " +
			".profile " +
			"profile .bashrc bashrc etc/default/* sysconfig/* conf.d/net init.d/* " +
			"profile.d/*",
		tags: "sh bash zsh shell console shell-session sh-session terminal"}
)

// formats are all of them; the first that fits is taken.
var formats = prepared([]*format{
	{name: "sysctl.d", by: byLines, role: sysctlRole, whole: true, tags: "sysctl",
		files: "sysctl.conf sysctl.d/* *.sysctl"},
	{name: "systemd unit", by: byLines, role: unitRole, whole: true, tags: "systemd service " +
		"unit",
		files: "*.service *.socket *.slice *.scope *.mount *.timer *.service.d/* " +
			"*.socket.d/* *.slice.d/* *.scope.d/* system.conf user.conf " +
			"system.conf.d/* user.conf.d/*"},
	{name: "Quadlet unit", by: byLines, role: unitRole, whole: true,
		files: "*.container *.pod *.kube *.container.d/*"},
	{name: "limits.conf", by: byLines, role: limitsRole, whole: true, tags: "limits",
		files: "limits.conf limits.d/*"},
	{name: "modprobe.d", by: byLines, role: moduleRole, whole: true,
		files: "modprobe.d/* modules-load.d/*"},
	{name: "rc.local", by: byLines, role: rcLocalRole, files: "rc.local"},
	{name: "TuneD profile", by: byLines, role: tunedRole, tags: "tuned",
		files: "tuned.conf tuned/*.conf"},
	{name: "crontab", by: byLines, role: cronRole, files: "crontab cron.d/*"},
	{name: "supervisor", by: byLines, role: superviseRole,
		files: "supervisord.conf supervisor/*.conf"},
	{name: "upstart job", by: byLines, role: upstartRole, files: "init/*.conf"},
	{name: "makefile", by: byLines, role: makeRole, tags: "make makefile",
		files: "Makefile makefile GNUmakefile *.mk"},
	{name: "Procfile", by: byLines, role: procfileRole, files: "Procfile Procfile.*"},
	{name: "Dockerfile", by: byDockerfile, apart: true, tags: "dockerfile docker",
		files: "Dockerfile Dockerfile.* *.Dockerfile *.dockerfile Containerfile " +
			"Containerfile.* *.Containerfile"},
	{name: "nginx", by: byNginx, apart: true, tags: "nginx",
		files: "nginx.conf nginx/*.conf nginx/conf.d/* sites-available/* sites-enabled/* " +
			"*.nginx"},
	{name: "HAProxy", by: byHAProxy, apart: true, tags: "haproxy",
		files: "haproxy.cfg haproxy/*.cfg"},
	{name: "Redis", by: byWords, words: &redis, tags: "redis",
		files: "redis.conf redis-*.conf redis/*.conf valkey.conf sentinel.conf"},
	{name: "PostgreSQL", by: byWords, words: &postgres, tags: "postgresql",
		files: "postgresql.conf postgresql.*.conf postgresql.conf.d/*"},
	{name: "MySQL", by: byWords, words: &mysql, tags: "mysql my.cnf", files: "*.cnf my.ini"},
	{name: "Apache", by: byWords, words: &apache, apart: true, tags: "apache apacheconf",
		files: "httpd.conf apache2.conf apache.conf mpm*.conf mods-*/*.conf " +
			"apache2/*.conf"},
	{name: "uWSGI", by: byWords, words: &uwsgi, files: "uwsgi.ini uwsgi/*.ini uwsgi-*.ini"},
	{name: "gunicorn", by: byWords, words: &gunicorn, tags: "gunicorn",
		files: "gunicorn.conf.py gunicorn.py gunicorn_conf.py gunicorn_config.py"},
	{name: "JSON", by: byBraces, lang: jsonText, apart: true, tags: "json json5 jsonc",
		files: "*.json *.json5 *.jsonc *.ign *.webmanifest"},
	{name: "YAML", by: byYAML, apart: true, tags: "yaml yml",
		files: "*.yaml *.yml *.sls *.bu *.fcc user-data"},
	{name: "TOML", by: byBraces, lang: tomlText, apart: true, tags: "toml",
		files: "*.toml containers.conf containers.conf.d/* crio.conf crio.conf.d/*"},
	{name: "Nix", by: byBraces, lang: nixText, apart: true, tags: "nix", files: "*.nix"},
	{name: "HCL", by: byBraces, lang: hclText, apart: true, tags: "hcl terraform tf nomad",
		files: "*.tf *.tfvars *.hcl *.nomad"},
	{name: "Puppet", by: byBraces, lang: puppetText, apart: true, tags: "puppet",
		files: "*.pp"},
	{name: "Ruby", by: byBraces, lang: rubyText, apart: true, tags: "ruby rb",
		files: "*.rb Vagrantfile Berksfile *.rake"},
	{name: "Python", by: byBraces, lang: pythonText, apart: true, tags: "python py",
		files: "*.py *.bzl"},
	{name: "JavaScript", by: byBraces, lang: scriptText, apart: true,
		tags: "javascript js typescript ts", files: "*.js *.mjs *.cjs *.ts"},
	{name: "Markdown", by: byMarkdown, apart: true, tags: "markdown md",
		files: "*.md *.markdown *.mdx *.qmd"},
	{name: "reStructuredText", by: byMarks, apart: true, tags: "rst", files: "*.rst *.rest"},
	{name: "AsciiDoc", by: byMarks, apart: true, tags: "asciidoc adoc",
		files: "*.adoc *.asciidoc *.asc"},
	{name: "HTML", by: byHTML, apart: true, tags: "html", files: "*.html *.htm *.xhtml"},
	shellText, anything,
	{name: "XML", files: "*.xml *.svg *.xsl *.plist", tags: "xml"},
	{name: "Java properties", files: "*.properties", tags: "properties"},
	{name: "Go", files: "*.go go.mod go.sum", tags: "go golang"},
	{name: "C", files: "*.c *.h *.cc *.cpp *.hpp", tags: "c cpp c++"},
	{name: "Rust", files: "*.rs", tags: "rust"},
	{name: "Java", files: "*.java *.kt *.scala *.groovy *.gradle Jenkinsfile",
		tags: "java kotlin groovy"},
	{name: "PHP", files: "*.php", tags: "php"},
	{name: "Perl", files: "*.pl *.pm", tags: "perl"},
	{name: "Lua", files: "*.lua", tags: "lua"},
	{name: "PowerShell", files: "*.ps1 *.psm1 *.reg *.bat *.cmd",
		tags: "powershell ps1 bat cmd"},
	{name: "SQL", files: "*.sql", tags: "sql"},
	{name: "Jsonnet", files: "*.jsonnet *.libsonnet *.cue *.dhall *.rego"},
	{name: "patch", files: "*.patch *.diff", tags: "diff patch"},
	{name: "table", files: "*.csv *.tsv"},
	{name: "source code", files: "*.swift *.ml *.mli *.rkt *.ex *.exs *.erl *.zig *.clj *.hs " +
		"*.nim *.cr *.dart *.cs *.fs *.vb *.vim *.d *.pas *.s *.asm *.tcl *.r *.jl *.m"},
})

func prepared(all []*format) []*format {
	for _, f := range all {
		f.patterns, f.names = strings.Fields(f.files), strings.Fields(f.tags)
	}
	return all
}

// templates are the endings of files from which another is made, or copies of one.
var templates = []string{".j2", ".jinja", ".jinja2", ".erb", ".epp", ".tmpl", ".tpl", ".tftpl",
	".template", ".in", ".dist", ".sample", ".example", ".orig", ".bak", ".rpmsave", ".rpmnew",
	".dpkg-dist", ".dpkg-old", ".dpkg-new", ".default", "~"}

// cleanName is a name with slashes and without what only says that it is a template.
func cleanName(name string) string {
	clean := path.Clean(strings.ReplaceAll(name, "\\", "/"))
	for _, ending := range templates {
		if rest, ok := strings.CutSuffix(clean, ending); ok && path.Base(rest) != "." &&
			rest != "" {
			clean = rest
		}
	}
	return clean
}

// formatNamed tells from the name, nil where that says nothing.
func formatNamed(name string) *format {
	clean := cleanName(name)
	if base := strings.ToLower(path.Base(clean)); base == "readme" || base == "license" {
		return anything
	}
	for _, f := range formats {
		if slices.ContainsFunc(f.patterns, func(p string) bool {
			return isCalled(clean,
				p)
		}) {
			return f
		}
	}
	return nil
}

// isCalled compares as many of the last parts of a path as the pattern has.
func isCalled(name, pattern string) bool {
	if strings.HasPrefix(pattern, "*.") && !strings.Contains(pattern, "/") {
		return strings.HasSuffix(name, pattern[1:])
	}
	from := len(name)
	for range strings.Count(pattern, "/") + 1 {
		if from = strings.LastIndexByte(name[:max(from, 0)], '/'); from < 0 {
			break
		}
	}
	ok, err := path.Match(pattern, name[from+1:])
	return ok && err == nil
}

// formatTagged is the format of a block of code.
func formatTagged(tag string) *format {
	if tag == "" {
		return anything
	}
	tag = strings.ToLower(tag)
	for _, f := range formats {
		if slices.Contains(f.names, tag) {
			return f
		}
	}
	if f := formatNamed("x." + tag); f != nil {
		return f
	}
	return anything
}

// Reads says whether a name is that of a file whose format lint reads.
func Reads(name string) bool {
	f := formatNamed(name)
	return f != nil && f != anything && f.by != byNone
}

// roleOf is how single lines of a file are read.
func roleOf(name string) role {
	if f := formatNamed(name); f != nil {
		return f.role
	}
	return anyRole
}

// starts are what files begin with whose name says nothing.
var starts = []struct{ text, name string }{
	{"#!/bin/sh", "x.sh"}, {"#!/bin/bash", "x.sh"}, {"#!/usr/bin/env bash", "x.sh"},
	{"#!/usr/bin/env sh", "x.sh"}, {"#!/bin/dash", "x.sh"}, {"#!/usr/bin/bash", "x.sh"},
	{"#!/usr/bin/sh", "x.sh"}, {"#!/bin/ash", "x.sh"}, {"#!/bin/zsh", "x.sh"},
	{"#!/usr/bin/env python", "x.py"}, {"#!/usr/bin/python", "x.py"},
	{"#!/usr/bin/env ruby", "x.rb"}, {"#!/usr/bin/env node", "x.js"},
	{"#!/usr/bin/perl", "x.pl"}, {"#!/usr/bin/env perl", "x.pl"}, {"<?php", "x.php"},
	{"#cloud-config", "x.yaml"}, {"apiVersion:", "x.yaml"}, {"---\n", "x.yaml"},
	{"<!DOCTYPE html", "x.html"}, {"<!doctype html", "x.html"}, {"<html", "x.html"},
	{"<?xml", "x.xml"}, {"diff --git", "x.diff"},
}

// unread are what files begin with that are no text.
var unread = []struct{ bytes, name string }{
	{"\x1f\x8b", "gzip"}, {"PK\x03\x04", "zip"}, {"\xfd7zXZ", "xz"}, {"\x28\xb5\x2f\xfd",
		"zstd"},
	{"BZh", "bzip2"}, {"%PDF", "PDF"}, {"\x7fELF", "ELF"}, {"\x89PNG", "PNG"},
	{"SQLite format", "SQLite"}, {"\xff\xfe", "UTF-16"}, {"\xfe\xff", "UTF-16"},
	{"\xed\xab\xee\xdb", "RPM"}, {"!<arch>", "ar archive"},
}

// binaryName is the format of a file that is no text, "" where it is not known.
func binaryName(text []byte) string {
	for _, u := range unread {
		if bytes.HasPrefix(text, []byte(u.bytes)) {
			return u.name
		}
	}
	return ""
}

// formatOf tells from the name, and else from the beginning of the text.
func formatOf(name, text string) *format {
	if f := formatNamed(name); f != nil {
		return f
	}
	for _, s := range starts {
		if strings.HasPrefix(text, s.text) {
			return formatNamed(s.name)
		}
	}
	return anything
}
