package keyring_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
)

func TestKeysAndPepperOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a dir?", "keys %41.db")
	first, err := keyring.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	key, hash := mustKey(t, first, "customer:1"), first.Hash("email", "x")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the ring is not in the file that was named: %v", err)
	}
	second := open(t, path)
	if got, err := second.Existing(context.Background(), "customer:1"); err != nil || got != key {
		t.Errorf("Existing after opening again: %v, want the same key", err)
	}
	if second.Hash("email", "x") != hash {
		t.Error("the hash changed")
	}
}

func TestOnlyTheOwnerMayReadTheFiles(t *testing.T) {
	dir := t.TempDir()
	ring := open(t, filepath.Join(dir, "keys.db"))
	mustKey(t, ring, "customer:1")
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files (%v), want the ring and its write-ahead log", len(files), err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v (%v), want 0600", file.Name(), info.Mode(), err)
		}
	}
}

func TestAFileThatEverybodyMayReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(context.Background(), path); err == nil || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("Open: %v, want an error that tells what to do", err)
	}
}

func TestAFileThatIsNoKeyRingIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := os.WriteFile(path, bytes.Repeat([]byte("not a database\n"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(context.Background(), path); err == nil {
		t.Error("Open took a text file for a key ring")
	}
}

func TestNothingOfADestroyedKeyIsLeftInTheFiles(t *testing.T) {
	dir := t.TempDir()
	ring := open(t, filepath.Join(dir, "keys.db"))
	for i := range 200 {
		mustKey(t, ring, fmt.Sprint("customer:", i))
	}
	key := mustKey(t, ring, "customer:100")
	if !inFiles(t, dir, key) {
		t.Fatal("the key is not in the files before it is destroyed: the test looks for the wrong thing")
	}
	erasure := keyring.Erasure{By: "privacy desk", Reason: "asked on 2026-11-20"}
	if err := ring.Destroy(context.Background(), "customer:100", erasure); err != nil {
		t.Fatal(err)
	}
	if inFiles(t, dir, key) {
		t.Error("the destroyed key is still in the files")
	}
	got, at, ok, err := ring.Erasure(context.Background(), "customer:100")
	if err != nil || !ok || got != erasure || at.IsZero() {
		t.Errorf("tombstone %+v at %v (%v, %v), want %+v", got, at, ok, err, erasure)
	}
}

func TestDestroyingAgainKeepsTheFirstTombstone(t *testing.T) {
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) { destroyTwice(t, open(t, database(t))) })
	}
}

func destroyTwice(t *testing.T, ring *keyring.SQLRing) {
	t.Helper()
	mustKey(t, ring, "customer:1")
	for _, by := range []string{"first", "second"} {
		if err := ring.Destroy(context.Background(), "customer:1", keyring.Erasure{By: by}); err != nil {
			t.Fatal(err)
		}
	}
	if got, _, _, err := ring.Erasure(context.Background(), "customer:1"); err != nil || got.By != "first" {
		t.Errorf("destroyed by %q (%v), want the first", got.By, err)
	}
	if _, _, ok, err := ring.Erasure(context.Background(), "customer:2"); ok || err != nil {
		t.Errorf("tombstone of nobody: %v, %v", ok, err)
	}
}

func inFiles(t *testing.T, dir string, key keyring.Key) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(hex.EncodeToString(key[:]))) || bytes.Contains(content, key[:]) {
			return true
		}
	}
	return false
}

func TestAClosedRingSaysSo(t *testing.T) {
	ring, err := keyring.Open(context.Background(), filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Key(context.Background(), "customer:1"); err == nil {
		t.Error("a closed ring gave a key")
	}
}

// childPath, when set, makes the test binary one of several processes that share
// a key ring.
const childPath = "KEYRING_CHILD_PATH"

const sharedSubjects = 40

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		if err := beChild(path, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(pgtest.Run(m))
}

// beChild waits for a line, then opens the ring and prints a hash for each key
// that it finds or creates.
func beChild(path string, in io.Reader, out io.Writer) error {
	if _, err := bufio.NewReader(in).ReadString('\n'); err != nil {
		return err
	}
	ring, err := keyring.Open(context.Background(), path)
	if err != nil {
		return err
	}
	for i := range sharedSubjects {
		key, err := ring.Key(context.Background(), fmt.Sprint("customer:", i))
		if err != nil {
			return errors.Join(err, ring.Close())
		}
		fmt.Fprintln(out, i, hex.EncodeToString(key[:]), ring.Hash("k", "v"))
	}
	return ring.Close()
}

// Three services start at once where no ring is there yet. They meet in the
// databases' own races at times only, hence several rounds.
func TestThreeProcessesShareARing(t *testing.T) {
	for name, database := range pgtest.Databases() {
		for round := range 4 {
			t.Run(fmt.Sprint(name, " ", round), func(t *testing.T) { shareARing(t, database(t)) })
		}
	}
}

func shareARing(t *testing.T, where string) {
	t.Helper()
	const processes = 3
	var start []io.WriteCloser
	var children []*exec.Cmd
	outputs := make([]bytes.Buffer, processes)
	for i := range processes {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childPath+"="+where)
		child.Stdout, child.Stderr = &outputs[i], os.Stderr
		in, err := child.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		start, children = append(start, in), append(children, child)
	}
	for _, in := range start {
		if _, err := in.Write([]byte("go\n")); err != nil {
			t.Fatal(err)
		}
	}
	for _, child := range children {
		if err := child.Wait(); err != nil {
			t.Error(err)
		}
	}
	if lines := strings.Count(outputs[0].String(), "\n"); lines != sharedSubjects {
		t.Fatalf("%d keys, want %d", lines, sharedSubjects)
	}
	for i := range outputs {
		if outputs[i].String() != outputs[0].String() {
			t.Errorf("process %d has other keys than process 0", i)
		}
	}
}

func BenchmarkCreateKeys(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			ring := open(b, filepath.Join(b.TempDir(), "keys.db"))
			work := make(chan int)
			done := make(chan error, callers)
			b.ResetTimer()
			for range callers {
				go func() {
					var failed error
					for i := range work {
						_, err := ring.Key(context.Background(), fmt.Sprint("customer:", i))
						failed = errors.Join(failed, err)
					}
					done <- failed
				}()
			}
			for i := range b.N {
				work <- i
			}
			close(work)
			for range callers {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "keys/s")
		})
	}
}

func BenchmarkFindKey(b *testing.B) {
	ring := open(b, filepath.Join(b.TempDir(), "keys.db"))
	mustKey(b, ring, "customer:1")
	b.ReportAllocs()
	for b.Loop() {
		mustKey(b, ring, "customer:1")
	}
}

// Erasing must come through while the other processes create keys and look for
// them.
func TestKeysAreDestroyedUnderLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.db")
	ring := open(t, path)
	ctx, stop := context.WithCancel(context.Background())
	var load sync.WaitGroup
	for process := range 3 {
		other := open(t, path)
		load.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := other.Key(ctx, fmt.Sprint("contact:", process, "-", i)); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 20 {
		subject := fmt.Sprint("customer:", i)
		key := mustKey(t, ring, subject)
		if err := ring.Destroy(context.Background(), subject, keyring.Erasure{By: "dpo"}); err != nil {
			t.Error(err)
		}
		if inFiles(t, dir, key) {
			t.Errorf("the key of %s is still in the files", subject)
		}
	}
	stop()
	load.Wait()
}

// Whoever destroys a key first says why, also when several processes do so at
// once.
func TestOneOfManyDestroysAKey(t *testing.T) {
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) { destroyTogether(t, database(t)) })
	}
}

func destroyTogether(t *testing.T, where string) {
	t.Helper()
	const processes = 4
	rings := make([]*keyring.SQLRing, processes)
	for i := range rings {
		rings[i] = open(t, where)
	}
	for subject := range 10 {
		subject := fmt.Sprint("customer:", subject)
		mustKey(t, rings[0], subject)
		told := make([]string, processes)
		var all sync.WaitGroup
		for i, ring := range rings {
			all.Go(func() {
				by := fmt.Sprint("process ", i)
				if err := ring.Destroy(context.Background(), subject, keyring.Erasure{By: by}); err != nil && !strings.Contains(err.Error(), "destroy the key again") {
					t.Error(err)
				}
				tombstone, _, _, err := ring.Erasure(context.Background(), subject)
				if err != nil {
					t.Error(err)
				}
				told[i] = tombstone.By
			})
		}
		all.Wait()
		for _, by := range told {
			if by != told[0] || by == "" {
				t.Errorf("%s was destroyed by %q", subject, told)
				break
			}
		}
	}
}
