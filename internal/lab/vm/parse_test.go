//go:build linux

package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// .modinfo of Debian's 5.10.0-32-cloud-amd64 and 7.2.13+deb14-cloud-amd64, shortened.
const (
	modinfoSoft = "softdep=pre: crc32c\x00license=GPL\x00author=Clay Haapala " +
		"<chaapala@cisco.com>\x00depends=\x00" +
		"retpoline=Y\x00intree=Y\x00name=libcrc32c\x00vermagic=5.10.0-32-cloud-amd64 " +
		"SMP mod_unload modversions \x00"
	modinfoConntrack = "parmtype=enable_hooks:bool\x00parm=enable_hooks:Always enable " +
		"conntrack hooks\x00license=GPL\x00" +
		"alias=nf_conntrack-10\x00depends=nf_defrag_ipv6,nf_defrag_ipv4\x00intree=Y\x00name=nf_conntrack\x00"
)

func TestParseModinfo(t *testing.T) {
	for _, c := range []struct {
		info          string
		needs, wishes []string
	}{
		{modinfoSoft, nil, []string{"crc32c"}},
		{modinfoConntrack, []string{"nf_defrag_ipv6", "nf_defrag_ipv4"}, nil},
		{"softdep=pre: a b post: c\x00", nil, []string{"a", "b"}},
		{"softdep=post: c\x00", nil, nil},
		{"", nil, nil},
	} {
		needs, wishes := parseModinfo([]byte(c.info))
		if !slices.Equal(needs, c.needs) || !slices.Equal(wishes, c.wishes) {
			t.Errorf("%q: %q %q, want %q %q", c.info, needs, wishes, c.needs, c.wishes)
		}
	}
	if _, _, err := dependencies([]byte("no ELF")); err == nil {
		t.Error("a module that is no ELF object has no error")
	}
}

func FuzzModinfo(f *testing.F) {
	f.Add([]byte(modinfoSoft))
	f.Add([]byte(modinfoConntrack))
	f.Fuzz(func(t *testing.T, info []byte) { parseModinfo(info) })
}

func TestModuleName(t *testing.T) {
	for path, want := range map[string]string{
		"kernel/net/ipv4/tcp_diag.ko":              "tcp_diag",
		"kernel/crypto/crc32c-intel.ko.xz":         "crc32c_intel",
		"kernel/drivers/virtio/virtio_pci.ko.zst":  "virtio_pci",
		"/usr/lib/modules/6.1/kernel/net/sch-a.ko": "sch_a",
	} {
		if got := moduleName(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// What apt-cache show printed for Debian 12, 13 and 14, shortened.
const (
	record12 = "Package: linux-image-cloud-amd64\nVersion: 6.1.176-1\nProvides: " +
		"wireguard-modules (= 1.0.0)\n" +
		"Depends: linux-image-6.1.0-50-cloud-amd64 (= 6.1.176-1)\nDescription: Linux " +
		"for x86-64 cloud (meta-package)\n"
	record12Image = "Package: linux-image-6.1.0-50-cloud-amd64\nVersion: 6.1.176-1\n" +
		"Depends: kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+deb8u2) | " +
		"linux-initramfs-tool\n"
	record14 = "Package: linux-image-cloud-amd64\nVersion: 7.2.13-1\n" +
		"Depends: linux-base-cloud-amd64 (= 7.2.13-1), " +
		"linux-image-7.2.13+deb14-cloud-amd64 (= 7.2.13-1)\n"
	record14Image = "Package: linux-image-7.2.13+deb14-cloud-amd64\nVersion: 7.2.13-1\n" +
		"Depends: dracut | initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool, " +
		"linux-base-7.2.13+deb14-cloud-amd64 (= 7.2.13-1), " +
		"linux-binary-7.2.13+deb14-cloud-amd64 (= 7.2.13-1), " +
		"linux-modules-7.2.13+deb14-cloud-amd64 (= 7.2.13-1)\n"
)

func TestKernelDepends(t *testing.T) {
	for _, c := range []struct {
		record string
		want   []string
	}{
		{record12, []string{"linux-image-6.1.0-50-cloud-amd64"}},
		{record12Image, nil},
		{record14, []string{"linux-image-7.2.13+deb14-cloud-amd64"}},
		{record14Image, []string{"linux-base-7.2.13+deb14-cloud-amd64",
			"linux-binary-7.2.13+deb14-cloud-amd64",
			"linux-modules-7.2.13+deb14-cloud-amd64"}},
		{"", nil},
	} {
		if got := kernelDepends(c.record); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.record, got, c.want)
		}
	}
	if v := field(record14, "Version"); v != "7.2.13-1" {
		t.Errorf("version %q", v)
	}
}

func FuzzKernelDepends(f *testing.F) {
	for _, r := range []string{record12, record12Image, record14, record14Image} {
		f.Add(r)
	}
	f.Add("Depends: linux-binary-0(0-cloud-amd64")
	f.Fuzz(func(t *testing.T, record string) {
		for _, name := range kernelDepends(record) {
			if strings.ContainsAny(name, " \t\r\n,|()") || name[0] == '-' {
				t.Errorf("%q is not the name of a package", name)
			}
		}
	})
}

// What apt-get update --print-uris printed, with other hosts.
const printedURIs = `'https://packages.example.com/apt/dists/cloud-sdk-bookworm/InRelease' packages.example.com_apt_dists_cloud-sdk-bookworm_InRelease 0 
'http://mirror.example.org/debian-security/dists/bookworm-security/InRelease' x 0 
'http://mirror.example.org/debian/dists/bookworm-updates/InRelease' x 0 
'http://mirror.example.org/debian/dists/bookworm/InRelease' mirror.example.org_debian_dists_bookworm_InRelease 0 
'http://mirror.example.org/debian/dists/bookworm/main/binary-amd64/Packages.xz' x 0 
`

func TestDebianMirror(t *testing.T) {
	for _, c := range []struct{ uris, want string }{
		{printedURIs, "http://mirror.example.org/debian"},
		{"'http://mirror.example.org/debian//dists/stable/InRelease' x 0 \n",
			"http://mirror.example.org/debian"},
		{"'http://mirror.example.org/ubuntu/dists/noble/InRelease' x 0 \n", ""},
		{"Reading package lists...\n", ""},
	} {
		if got := debianMirror(c.uris); got != c.want {
			t.Errorf("%q: %q, want %q", c.uris, got, c.want)
		}
	}
	t.Setenv(mirrorEnv, "http://one.example/debian\nSuites: x")
	if _, err := mirror(t.Context()); err == nil {
		t.Error("an address with a line break is accepted")
	}
}

func FuzzDebianMirror(f *testing.F) {
	f.Add(printedURIs)
	f.Fuzz(func(t *testing.T, uris string) {
		if m := debianMirror(uris); strings.ContainsAny(m, "'\n") {
			t.Errorf("mirror %q", m)
		}
	})
}

// What ld.so --list printed (glibc 2.36).
const loaderList = "\tlinux-vdso.so.1 (0x00007f57afedd000)\n" +
	"\tlibsystemd-shared-252.so => " +
	"/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so (0x00007f57afa00000)\n" +
	"\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 " +
	"(0x00007f57af81e000)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f57afedf000)\n"

func TestLoaded(t *testing.T) {
	want := []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2",
		"/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so"}
	if got := loaded(loaderList); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzLoaded(f *testing.F) {
	f.Add(loaderList)
	f.Fuzz(func(t *testing.T, list string) {
		for _, path := range loaded(list) {
			if path[0] != '/' {
				t.Errorf("path %q", path)
			}
		}
	})
}

func TestCompareReleases(t *testing.T) {
	want := []string{"5.10.0-9-cloud-amd64", "5.10.0-32-cloud-amd64", "6.1.0-50-cloud-amd64",
		"6.12.94+deb13-cloud-amd64",
		"6.12.107+deb13-cloud-amd64", "7.2.13+deb14-cloud-amd64"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareReleases)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if belongs("6.12.94+deb13-cloud-amd64", "6.1") || !belongs("6.1.0-50-cloud-amd64", "6.1") ||
		!belongs("7.2.13", Newest) {
		t.Error("6.12 is not of the series 6.1")
	}
}

func TestFrames(t *testing.T) {
	var wire bytes.Buffer
	p := &port{to: &wire}
	large := bytes.Repeat([]byte("x"), maxFrame+1)
	for _, body := range [][]byte{nil, []byte("a"), large} {
		if err := p.send(frameStdout, body); err != nil {
			t.Fatal(err)
		}
	}
	var have [][]byte
	for whole := bytes.NewReader(wire.Bytes()); ; {
		f, err := readFrame(whole)
		if err == io.EOF {
			break
		}
		if err != nil || f.kind != frameStdout {
			t.Fatal(f.kind, err)
		}
		have = append(have, f.body)
	}
	if want := [][]byte{{}, []byte("a"), large[:maxFrame],
		[]byte("x")}; !reflect.DeepEqual(have, want) {
		t.Errorf("%d frames", len(have))
	}
	for n := 1; n < 6; n++ { // cut by a power cut
		if _, err := readFrame(bytes.NewReader([]byte("o\x00\x00\x00\x02ab")[:n])); err !=
			io.ErrUnexpectedEOF {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := readFrame(strings.NewReader("o\xff\xff\xff\xff")); !errors.Is(err, errFrame) {
		t.Errorf("a frame of 4 GiB: %v", err)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte("r\x00\x00\x00\x13{\"release\":\"6.1.0\"}x\x00\x00\x00\x00"))
	f.Add([]byte("o\x00\x00\x00\x02ab"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		var again []byte
		from := bytes.NewReader(wire)
		for {
			fr, err := readFrame(from)
			if err != nil {
				break
			}
			again = append(append(again, fr.kind),
				binary.BigEndian.AppendUint32(nil, uint32(len(fr.body)))...)
			again = append(again, fr.body...)
		}
		if !bytes.HasPrefix(wire, again) {
			t.Errorf("%q read as %q", wire, again)
		}
	})
}

func TestBounded(t *testing.T) {
	b := bounded{limit: 5}
	for range 3 {
		if n, err := b.Write([]byte("abc")); n != 3 || err != nil {
			t.Errorf("Write = %d, %v", n, err)
		}
	}
	if string(b.bytes()) != "abcab" {
		t.Errorf("kept %q", b.bytes())
	}
}
