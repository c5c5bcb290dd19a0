package users

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/bcrypt"
)

func basic(name, password string) []string {
	return []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))}
}

// hashAt returns a hash of password at a cost.
func hashAt(t testing.TB, password string, cost int) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// threeUsers have hashes of different costs.
func threeUsers(t testing.TB) *Users {
	t.Helper()
	file := "jane:" + hashAt(t, "jane's", 4) + "\njoe:" + hashAt(t, "joe's", 5) + "\nann:" + hashAt(t, "", 6) + "\n"
	u, err := parse(strings.NewReader(file), "users")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// counted lets compare note the cost of each hash that is compared.
func counted(t testing.TB, u *Users) *[]int {
	var costs []int
	var mu sync.Mutex
	u.compare = func(hash, password []byte) error {
		cost, err := bcrypt.Cost(hash)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		costs = append(costs, cost)
		mu.Unlock()
		return bcrypt.CompareHashAndPassword(hash, password)
	}
	return &costs
}

func TestWhoIsLetIn(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	good := basic("jane", "jane's")[0]
	cases := map[string]struct {
		header []string
		want   error
	}{
		"the right password":                     {basic("jane", "jane's"), nil},
		"the scheme in small letters":            {[]string{strings.Replace(good, "Basic", "basic", 1)}, nil},
		"more than one space":                    {[]string{strings.Replace(good, " ", "   ", 1)}, nil},
		"a colon in the password is part of it":  {basic("jane", "jane's:"), ErrWrong},
		"another user's password":                {basic("jane", "joe's"), ErrWrong},
		"a password cut short":                   {basic("jane", "jane'"), ErrWrong},
		"no password":                            {basic("jane", ""), ErrWrong},
		"a user without a password":              {basic("ann", ""), nil},
		"names differ by case":                   {basic("Jane", "jane's"), ErrWrong},
		"nobody's name":                          {basic("mallory", "jane's"), ErrWrong},
		"a password beyond what bcrypt looks at": {basic("jane", strings.Repeat("x", 100)), ErrWrong},
		"no header":                              {nil, ErrMissing},
		"two headers, one of them right":         {[]string{good, basic("joe", "x")[0]}, ErrMalformed},
		"an empty header":                        {[]string{""}, ErrMalformed},
		"another scheme":                         {[]string{"Bearer abc"}, ErrMalformed},
		"a scheme alone":                         {[]string{"Basic"}, ErrMalformed},
		"a scheme and a space":                   {[]string{"Basic "}, ErrMalformed},
		"no base64":                              {[]string{"Basic jane:jane's"}, ErrMalformed},
		"base64 that is cut":                     {[]string{good[:len(good)-1]}, ErrMalformed},
		"no colon":                               {[]string{"Basic " + encode([]byte("jane"))}, ErrMalformed},
		"no name":                                {basic("", "jane's"), ErrMalformed},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			u := threeUsers(t)
			for range 2 { // the second time something may be remembered
				if err := u.Authenticate(t.Context(), tc.header); !errors.Is(err, tc.want) {
					t.Errorf("got %v, want %v", err, tc.want)
				}
			}
		})
	}
}

func TestOnlyTheFirst72BytesWouldBeLookedAt(t *testing.T) {
	longest := strings.Repeat("x", MaxPassword)
	u, err := One("jane", longest)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Authenticate(t.Context(), basic("jane", longest)); err != nil {
		t.Errorf("the password itself: %v", err)
	}
	if err := u.Authenticate(t.Context(), basic("jane", longest+"y")); !errors.Is(err, ErrWrong) {
		t.Errorf("the password and more: got %v, want %v", err, ErrWrong)
	}
}

func TestARightPasswordIsCheckedOnce(t *testing.T) {
	u := threeUsers(t)
	costs := counted(t, u)
	for range 10 {
		if err := u.Authenticate(t.Context(), basic("jane", "jane's")); err != nil {
			t.Fatal(err)
		}
	}
	if len(*costs) != 1 {
		t.Errorf("10 calls compared %d times, want once", len(*costs))
	}
	// A wrong password is neither remembered nor does it make a right one forgotten.
	for range 3 {
		if err := u.Authenticate(t.Context(), basic("jane", "joe's")); !errors.Is(err, ErrWrong) {
			t.Fatalf("got %v, want %v", err, ErrWrong)
		}
	}
	if err := u.Authenticate(t.Context(), basic("jane", "jane's")); err != nil {
		t.Fatal(err)
	}
	if len(*costs) != 4 {
		t.Errorf("compared %d times, want once for the right password and 3 times for the wrong one", len(*costs))
	}
}

// TestAStrangerCostsWhatAUserCosts counts comparisons instead of measuring
// time: each name, known or not, costs one comparison per wrong password, at
// one cost, which is one of the users'.
func TestAStrangerCostsWhatAUserCosts(t *testing.T) {
	u := threeUsers(t)
	seen := map[int]bool{}
	for _, name := range []string{"jane", "joe", "ann", "mallory", "trudy", "eve", "oscar", "a", "b", "c", "d", "e", "f", "g"} {
		costs := counted(t, u)
		for _, password := range []string{"wrong", "jane's", "joe's", "other"} {
			right := name == "jane" && password == "jane's" || name == "joe" && password == "joe's"
			if right {
				continue
			}
			if err := u.Authenticate(t.Context(), basic(name, password)); !errors.Is(err, ErrWrong) {
				t.Fatalf("%s: got %v, want %v", name, err, ErrWrong)
			}
		}
		want := 4
		if name == "jane" || name == "joe" {
			want = 3
		}
		if len(*costs) != want {
			t.Errorf("%s: compared %d times, want %d", name, len(*costs), want)
		}
		for _, cost := range *costs {
			seen[cost] = true
			if cost != (*costs)[0] {
				t.Errorf("%s: comparisons at costs %v tell that nobody has this name", name, *costs)
			}
		}
	}
	if !seen[4] || !seen[5] || !seen[6] {
		t.Errorf("only costs %v were seen", seen)
	}
}

// TestFirstCallsTogether lets many callers come at once: the password is
// checked once, and all are let in.
func TestFirstCallsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := threeUsers(t)
		u.checking = make(chan struct{}, 1)
		var compared atomic.Int32
		release := make(chan struct{})
		u.compare = func(hash, password []byte) error {
			compared.Add(1)
			<-release
			return bcrypt.CompareHashAndPassword(hash, password)
		}
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				if err := u.Authenticate(t.Context(), basic("joe", "joe's")); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(release)
		callers.Wait()
		if got := compared.Load(); got != 1 {
			t.Errorf("compared %d times, want once", got)
		}
	})
}

// TestACallerWhoWaitsCanGiveUp: checks have few places, and a caller's own
// deadline ends its wait for one.
func TestACallerWhoWaitsCanGiveUp(t *testing.T) {
	u := threeUsers(t)
	for range cap(u.checking) {
		u.checking <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := u.Authenticate(ctx, basic("joe", "joe's")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestLoad(t *testing.T) {
	hash := hashAt(t, "secret", 4)
	htpasswd := strings.Replace(hash, "$2a$", "$2y$", 1) // what Apache's program calls the same
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("# who may call\r\n\r\n  jane:"+htpasswd+"  \r\njoe doe:"+hash), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"jane", "joe doe"} {
		if err := u.Authenticate(t.Context(), basic(name, "secret")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load(path + "2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: got %v", err)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	hash := hashAt(t, "secret", 4)
	cases := map[string]struct {
		file string
		want string
	}{
		"nothing":               {"", "users: invalid: it holds no user"},
		"comments only":         {"# a\n\n", "users: invalid: it holds no user"},
		"no colon":              {"# a\n\njane\n", `users:3: invalid: the line is not of the form "name:hash"`},
		"no name":               {":" + hash, "users:1: invalid: a user's name is empty"},
		"a name with a space":   {"jane :" + hash, "users:1: invalid: user name \"jane \""},
		"a name with a tab":     {"j\tane:" + hash, "users:1: invalid: user name \"j\\tane\": it has a control character"},
		"a password in clear":   {"jane:hunter2", "users:1: invalid: what follows \"jane:\" is no bcrypt hash"},
		"another kind of hash":  {"jane:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "is no bcrypt hash"},
		"a hash cut short":      {"jane:" + hash[:59], "is no bcrypt hash"},
		"more behind the hash":  {"jane:" + hash + ":x", "is no bcrypt hash"},
		"a cost of no sense":    {"jane:" + strings.Replace(hash, "$04$", "$03$", 1), "the hash of \"jane\""},
		"a cost that is a trap": {"jane:" + strings.Replace(hash, "$04$", "$31$", 1), "has cost 31"},
		"a user twice":          {"jane:" + hash + "\njoe:" + hash + "\n\njane:" + hash, "users:4: invalid: user \"jane\" has a line already, which is line 1"},
		"a line without end":    {"jane:" + hash + "\n" + strings.Repeat("x", 1<<20), "users:2: bufio.Scanner: token too long"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parse(strings.NewReader(tc.file), "users")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want an error with %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), hash[10:]) {
				t.Errorf("the error gives a secret away: %v", err)
			}
		})
	}
}

func TestHash(t *testing.T) {
	hash, err := Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
	u, err := parse(strings.NewReader("jane:"+hash), "users")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Authenticate(t.Context(), basic("jane", "secret")); err != nil {
		t.Error(err)
	}
	for _, password := range []string{"", strings.Repeat("x", MaxPassword+1)} {
		if _, err := Hash(password); !errors.Is(err, ErrInvalid) {
			t.Errorf("a password of %d bytes: got %v, want %v", len(password), err, ErrInvalid)
		}
	}
}

// FuzzAuthorization: no header lets a stranger in, and each gets a reason.
func FuzzAuthorization(f *testing.F) {
	for _, header := range []string{"", "Basic", "Basic ", "basic YTpi", "Basic YTpi=", "Bearer x", basic("jane", "jane's")[0]} {
		f.Add(header)
	}
	u, err := One("jane", "jane's")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		err := u.Authenticate(t.Context(), []string{header})
		c, parseErr := parseAuthorization([]string{header})
		want := error(nil)
		switch {
		case parseErr != nil:
			want = parseErr
		case c != credentials{name: "jane", password: "jane's"}:
			want = ErrWrong
		}
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", header, err, want)
		}
		if parseErr == nil && (c.name == "" || strings.Contains(c.name, ":")) {
			t.Errorf("%q: read the name %q", header, c.name)
		}
	})
}

// FuzzFile: what is accepted has users, each as its line says; what is not is
// refused with the name of the file.
func FuzzFile(f *testing.F) {
	hash := hashAt(f, "secret", 4)
	for _, file := range []string{"", "# x", "jane:" + hash, "jane:" + hash + "\njane:" + hash, "a:$2y$10$x", ":" + hash} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file string) {
		u, err := parse(strings.NewReader(file), "users")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "users:") {
				t.Errorf("the error does not name the file: %v", err)
			}
			return
		}
		if len(u.inOrder) == 0 || len(u.byName) != len(u.inOrder) {
			t.Errorf("%d users, %d names", len(u.inOrder), len(u.byName))
		}
		for _, one := range u.inOrder {
			if CheckName(one.name) != nil || !strings.Contains(file, one.name+":"+string(one.hash)) {
				t.Errorf("%q has no line", one.name)
			}
		}
	})
}
