//go:build linux

package vm

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testdata/signed has an InRelease file of "trixie", the key that signed it and another one. The
// index that it names is "hello\n".
const signedDir = "testdata/signed"

func needGpgv(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("gpgv"); err != nil {
		skip(t, "no gpgv here: it is the Debian package gpgv")
	}
}

func key(t *testing.T, name string) string {
	t.Helper()
	return must(filepath.Abs(filepath.Join(signedDir, name+".gpg")))(t)
}

// lists puts an InRelease file and an index where apt puts them.
func lists(t *testing.T, release, index string) *apt {
	t.Helper()
	a := &apt{dir: t.TempDir()}
	dir := a.path("state/lists")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"mirror_debian_dists_trixie_InRelease":                  release,
		"mirror_debian_dists_trixie_main_binary-amd64_Packages": index,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func other(text, old, new string) string { return strings.Replace(text, old, new, 1) }

// Each link of the chain from a key to the index fails by itself.
func TestVerifiedIndex(t *testing.T) {
	needGpgv(t)
	good := string(must(os.ReadFile(filepath.Join(signedDir, "InRelease")))(t))
	_, body, _ := strings.Cut(good, "\n\n")
	body, _, _ = strings.Cut(body, "-----BEGIN")
	for name, c := range map[string]struct{ release, index, key, want string }{
		"all is well": {good, "hello\n", "debian", ""},
		"text before": {"Codename: sid\n\n" + good, "hello\n", "debian", ""},
		"another key": {good, "hello\n", "other", "no good signature"},
		"a changed text": {other(good, "5891", "5892"), "hello\n", "debian",
			"no good signature"},
		"no signature":       {body, "hello\n", "debian", "no good signature"},
		"nothing":            {"", "hello\n", "debian", "no good signature"},
		"a changed index":    {good, "hallo\n", "debian", "Debian signed 5891b5b522d5"},
		"an index cut short": {good, "", "debian", "Debian signed 5891b5b522d5"},
		"a changed signature": {other(good, "iHUE", "iHUF"), "hello\n", "debian",
			"no good signature"},
		"a keyring that is not": {good, "hello\n", "nobody", "no good signature"},
	} {
		index, err := lists(t, c.release, c.index).verifiedIndex(t.Context(), "trixie",
			key(t, c.key))
		switch {
		case c.want == "" && (err != nil || string(index) != c.index):
			t.Errorf("%s: %q, %v", name, index, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file of another suite is no answer: an old or a wrong one may be signed just as well.
func TestIndexOfAnotherSuite(t *testing.T) {
	for release, want := range map[string]string{
		"Codename: bullseye\nSHA256:\n aa 1 " + indexName +
			"\n": `is of "bullseye"`,
		"Suite: trixie\nSHA256:\n aa 1 " + indexName + "\n":                `is of ""`,
		"Codename: trixie\nMD5Sum:\n aa 1 " + indexName + "\n":             "has no main/",
		"Codename: trixie\nSHA256:\n aa 1 main/binary-arm64/Packages\n":    "has no main/",
		"Codename: trixie\nSHA256:\n aa 1 x\nSHA1:\n bb 1 " + indexName:    "has no main/",
		"Codename: trixie\nSHA256:\n aa 1 " + indexName + " more and more": "has no main/",
	} {
		hash, err := indexHash(release, "trixie")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v", release, hash, err)
		}
	}
}

func TestSignatureStatus(t *testing.T) {
	const g, n, b = "[GNUPG:] GOODSIG K A\n", "[GNUPG:] NO_PUBKEY K\n", "[GNUPG:] BADSIG K A\n"
	for status, want := range map[string]bool{
		g: true, n + g: true, g + n: true, "": false, n: false, b: false, g + b: false,
		b + g:                      false,
		"[GNUPG:] EXPKEYSIG K A\n": false, "[GNUPG:] REVKEYSIG K A\n": false,
		"GOODSIG K A\n":                    false,
		"[GNUPG:] NOTATION_DATA GOODSIG\n": false, "[GNUPG:]\n": false,
	} {
		if got := goodSignature(status); got != want {
			t.Errorf("%q is good: %v", status, got)
		}
	}
}

func TestVerifyPackages(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.deb", "b.deb") // each holds its own name
	a, b := filepath.Join(dir, "a.deb"), filepath.Join(dir, "b.deb")
	record := func(name, text string) string {
		return "Package: " + name + "\nVersion: 1\nSHA256: " + hexHash([]byte(text)) +
			"\n\n"
	}
	index := []byte(record("linux-image-1", "a.deb") + record("linux-image-1", "old") +
		record("linux-modules-1", "b.deb") + record("other", "c.deb"))
	both := []string{"linux-image-1", "linux-modules-1"}
	for name, c := range map[string]struct {
		files, names []string
		index        []byte
		want         string
	}{
		"all is well":       {[]string{a, b}, both, index, ""},
		"one is not there":  {[]string{a}, both, index, "linux-modules-1 was not loaded"},
		"one too many":      {[]string{a, b}, both[:1], index, "b.deb has SHA-256"},
		"another package's": {[]string{a}, []string{"other"}, index, "a.deb has SHA-256"},
		"none in the index": {[]string{a}, both, nil, "a.deb has SHA-256"},
		"a record without hash": {[]string{a}, both[:1], []byte("Package: linux-image-1\n"),
			"a.deb has SHA-256"},
	} {
		err := verifyPackages(c.files, c.index, c.names)
		if (err == nil) != (c.want == "") ||
			err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Without Debian's keys, or gpgv, nothing is fetched, and the error names the package.
func TestFetchNeedsKeys(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb", "gpgv"} {
		err := checkTools(key(t, "debian"))
		if !errors.Is(err, ErrUnavailable) ||
			!strings.Contains(err.Error(), "install "+tool) {
			t.Errorf("without %s: %v", tool, err)
		}
		if err := os.WriteFile(filepath.Join(bin, tool), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkTools(key(t, "debian")); err != nil {
		t.Errorf("with all: %v", err)
	}
	err := checkTools(filepath.Join(bin, "none.gpg"))
	if !errors.Is(err, ErrUnavailable) ||
		!strings.Contains(err.Error(), "debian-archive-keyring") {
		t.Errorf("without keys: %v", err)
	}
}

// cached puts a kernel into a cache of its own.
func cached(t *testing.T) Kernel {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	cache := must(cacheDir())(t)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	from := filepath.Join(t.TempDir(), "kernel")
	put(t, from, "vmlinuz", "modules/modules.builtin", "modules/kernel/a.ko")
	k := Kernel{Series: "6.1", Release: "6.1.0-50-cloud-amd64", Version: "6.1.176-1"}
	return must(k.settle(from, cache))(t)
}

// boots goes as far as a machine's start does with the files of a kernel.
func (k Kernel) boots(t *testing.T) error {
	f, err := k.openImage(t.Context())
	if err != nil {
		return err
	}
	f.Close()
	set, err := k.openModules()
	if err != nil {
		return err
	}
	_, err = set.readModule(t.Context(), set.files["a"])
	return err
}

// What is in the cache is compared each time with what was fetched.
func TestCachedKernelIsCompared(t *testing.T) {
	if err := cached(t).boots(t); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"vmlinuz", "modules/modules.builtin", "modules/kernel/a.ko", sumsName,
	} {
		k := cached(t)
		path := filepath.Join(filepath.Dir(k.Image), name)
		if err := os.WriteFile(path, []byte("changed\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		err := k.boots(t)
		if !errors.Is(err, errUnverified) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s changed: %v", name, err)
		}
	}
	k := cached(t)
	put(t, filepath.Dir(k.Image), "modules/kernel/b.ko")
	set := must(k.openModules())(t)
	if _, err := set.readModule(t.Context(), set.files["b"]); !errors.Is(err, errUnverified) {
		t.Errorf("a module that was added: %v", err)
	}
}

func TestCacheOfOthers(t *testing.T) {
	for _, up := range []string{".", ".."} {
		k := cached(t)
		if err := os.Chmod(filepath.Join(filepath.Dir(k.Image), up), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := k.boots(t); err == nil ||
			!strings.Contains(err.Error(), "can be written by others") {
			t.Errorf("%s of mode 0777: %v", up, err)
		}
	}
}

// A cache of an earlier maxconn has no hashes: its kernels are not booted, and make room.
func TestCacheWithoutHashes(t *testing.T) {
	k := cached(t)
	dir := filepath.Dir(k.Image)
	record := `{"series":"6.1","release":"6.1.0-50-cloud-amd64","version":"6.1.176-1"}`
	if err := os.WriteFile(filepath.Join(dir, recordName), []byte(record), 0o644); err != nil {
		t.Fatal(err)
	}
	old := must(readKernel(dir))(t)
	if err := old.boots(t); err == nil ||
		!strings.Contains(err.Error(), "no hashes were recorded") {
		t.Errorf("it boots: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Fetch(t.Context(), "6.1"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Fetch is content with it: %v", err)
	}
	from := filepath.Join(t.TempDir(), "kernel")
	put(t, from, "vmlinuz", "modules/modules.builtin", "modules/kernel/a.ko")
	k.Sums = ""
	again, err := k.settle(from, filepath.Dir(dir))
	if err != nil || again.boots(t) != nil {
		t.Errorf("fetched anew: %v, %v", err, again.boots(t))
	}
}

// What is read of signed files comes from a mirror until it is verified.
func FuzzSigned(f *testing.F) {
	f.Add("Codename: trixie\nSHA256:\n aa 1 "+indexName+"\n", "[GNUPG:] GOODSIG K A\n")
	f.Add("Package: a\nSHA256: aa\n\nPackage: b\n", "[GNUPG:] BADSIG")
	f.Fuzz(func(t *testing.T, text, status string) {
		hash, err := indexHash(text, "trixie")
		if err == nil && !strings.Contains(text, hash) {
			t.Errorf("%q: hash %q", text, hash)
		}
		for hash, name := range packageHashes([]byte(text), []string{"a", "b"}) {
			if hash == "" || !strings.Contains(text, "Package: "+name) {
				t.Errorf("%q: %q is of %q", text, hash, name)
			}
		}
		if goodSignature(status) && !strings.Contains(status, "GOODSIG") {
			t.Errorf("%q is good", status)
		}
	})
}
