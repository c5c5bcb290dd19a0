// Package users knows who may call a store, and checks what callers say of
// themselves: a name and a password, as in HTTP's basic authentication.
//
// Passwords are kept as bcrypt hashes, whose check is slow by design. So a
// password that was found right is remembered, as a keyed hash of it, and is
// known at once the next time.
package users

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/crypto/bcrypt"
)

// The user of DevCredentials, whose password is no secret.
const (
	DevName     = "admin"
	DevPassword = "changeit"
)

// Reasons to turn a caller away, tested with errors.Is.
var (
	// ErrMissing says that a caller gave no credentials.
	ErrMissing = errors.New("the call has no credentials, and this store asks for a user's name and password")
	// ErrMalformed says that what a caller gave is no name and password.
	ErrMalformed = errors.New(`the call's "authorization" is not of the form "Basic" and base64 of "name:password"`)
	// ErrWrong says that there is no such user or that the password is
	// another. It does not tell which.
	ErrWrong = errors.New("there is no user of this name with this password")
)

// Users are those who may call a store: at least one.
type Users struct {
	byName  map[string]*user
	inOrder []*user
	key     [sha256.Size]byte // new in each process, so that what is remembered says nothing elsewhere

	// checking is held by whoever checks a password against its hash. There
	// are fewer places than processors, so that callers with wrong passwords
	// can't take all of them.
	checking chan struct{}
	compare  func(hash, password []byte) error // bcrypt's, except in tests
}

// user is one who may call. What is remembered of a user is of one size,
// whatever callers try.
type user struct {
	name     string
	hash     []byte
	verified atomic.Pointer[digest] // of the name and password that were found right
}

type digest [sha256.Size]byte

// credentials are what a caller says of itself.
type credentials struct {
	name, password string
}

func newUsers(all []*user) (*Users, error) {
	u := &Users{
		byName:   make(map[string]*user, len(all)),
		inOrder:  all,
		checking: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)),
		compare:  bcrypt.CompareHashAndPassword,
	}
	for _, one := range all {
		u.byName[one.name] = one
	}
	if _, err := rand.Read(u.key[:]); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return u, nil
}

// DevCredentials returns the one user DevName with the password DevPassword,
// for tests and laptops.
func DevCredentials() (*Users, error) { return One(DevName, DevPassword) }

// One returns one user, whose password was in clear anyway: its hash is the
// quickest there is.
func One(name, password string) (*Users, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return nil, fmt.Errorf("hash the password of %q: %w", name, err)
	}
	return newUsers([]*user{{name: name, hash: hash}})
}

// Authenticate checks the values of a call's "authorization" header. It
// returns nil for a user with the user's password, else one of ErrMissing,
// ErrMalformed and ErrWrong, or why ctx ended.
func (u *Users) Authenticate(ctx context.Context, authorization []string) error {
	c, err := parseAuthorization(authorization)
	if err != nil {
		return err
	}
	return u.verify(ctx, c)
}

// verify takes as long for a name that nobody has as for a wrong password: a
// stranger is checked too, against somebody's hash.
func (u *Users) verify(ctx context.Context, c credentials) error {
	sum, standIn := u.sum(c), u.standIn(c.name)
	who, known := u.byName[c.name]
	if !known {
		who = standIn
	}
	if who.remembers(sum) { // a stranger's sum is nobody's: the name is part of it
		return nil
	}
	select {
	case u.checking <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-u.checking }()
	if who.remembers(sum) { // somebody was faster: the first calls come together
		return nil
	}
	err := u.compare(who.hash, []byte(c.password))
	if err != nil || !known || len(c.password) > MaxPassword {
		return ErrWrong
	}
	who.verified.Store(&sum)
	return nil
}

// standIn returns the user whose hash a stranger of this name is checked
// against: always the same one, as hashes differ in what they cost.
func (u *Users) standIn(name string) *user {
	sum := u.sum(credentials{name: name})
	return u.inOrder[binary.BigEndian.Uint64(sum[:])%uint64(len(u.inOrder))]
}

// sum returns the keyed hash of c. A name has no colon, so no two credentials
// run together.
func (u *Users) sum(c credentials) (sum digest) {
	mac := hmac.New(sha256.New, u.key[:])
	mac.Write([]byte(c.name + ":" + c.password)) // a hash's Write never fails
	return digest(mac.Sum(sum[:0]))
}

func (one *user) remembers(sum digest) bool {
	verified := one.verified.Load()
	return verified != nil && hmac.Equal(verified[:], sum[:])
}
