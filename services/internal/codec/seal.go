package codec

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// A sealed value is
//
//	sealed:v1:<base64url of nonce (12) | ciphertext | tag (16)>
//
// by AES-256-GCM under a subkey of the subject's key. Which key that is stands
// once in the event's metadata (sealedFor), not in each of the dozen sealed
// fields of a person. What is bound to the value, so that it opens nowhere else:
// the event's id, its schema, the field's path.
//
// The nonce is synthetic: an HMAC under another subkey over all that is bound and
// over the value. So encoding is deterministic (what a retry writes are the same
// bytes), and no nonce comes again with another value or another binding.
//
// The value is padded to whole blocks of 16 bytes before it is sealed: the
// length of a name outlives its key otherwise.
const sealedPrefix = "sealed:v1:"

const (
	nonceSize = 12
	blockSize = 16
	subkeyLen = 32
)

// ErrTampered tells that a sealed value does not open: it was changed, or moved
// from another event or field, or is not sealed at all.
var ErrTampered = errors.New("the sealed value does not belong here")

// sealer seals and opens the fields of one event.
type sealer struct {
	aead   cipher.AEAD
	key    keyring.Key
	bound  []byte // the event's id and schema
	nonces []byte // the subkey of nonces; made when first needed
}

func newSealer(key keyring.Key, id uuid.UUID, schema string) (*sealer, error) {
	subkey, err := hkdf.Expand(sha256.New, key[:], "triangle sealed:v1 value", subkeyLen)
	if err != nil {
		return nil, fmt.Errorf("derive the subkey: %w", err)
	}
	block, err := aes.NewCipher(subkey)
	if err != nil {
		return nil, fmt.Errorf("make the cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make the cipher: %w", err)
	}
	return &sealer{aead: aead, key: key, bound: appendPart(appendPart(nil, id[:]), []byte(schema))}, nil
}

// appendPart appends a part with its length before it, so that no two lists of
// parts read alike.
func appendPart(to, part []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(part))), part...)
}

func (s *sealer) additional(path string) []byte {
	return appendPart(bytes.Clone(s.bound), []byte(path))
}

func (s *sealer) seal(path, value string) (string, error) {
	padded, additional := pad(value), s.additional(path)
	nonce, err := s.nonce(additional, padded)
	if err != nil {
		return "", err
	}
	sealed := s.aead.Seal(nonce, nonce, padded, additional)
	return sealedPrefix + base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (s *sealer) nonce(additional, padded []byte) ([]byte, error) {
	if s.nonces == nil {
		var err error
		if s.nonces, err = hkdf.Expand(sha256.New, s.key[:], "triangle sealed:v1 nonce", subkeyLen); err != nil {
			return nil, fmt.Errorf("derive the subkey: %w", err)
		}
	}
	mac := hmac.New(sha256.New, s.nonces)
	mac.Write(appendPart(nil, additional))
	mac.Write(padded)
	return mac.Sum(nil)[:nonceSize:nonceSize], nil
}

func (s *sealer) open(path, text string) (string, error) {
	sealed, err := unwrap(text)
	if err != nil {
		return "", err
	}
	padded, err := s.aead.Open(nil, sealed[:nonceSize], sealed[nonceSize:], s.additional(path))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrTampered, err)
	}
	return unpad(padded)
}

// unwrap reads a sealed value's text. No error quotes it: a value that is not
// sealed is somebody's personal value in clear.
func unwrap(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, sealedPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %s", ErrTampered, sealedPrefix)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	if len(sealed) < nonceSize {
		return nil, fmt.Errorf("%w: it is cut off", ErrTampered)
	}
	return sealed, nil
}

// pad appends a one bit and zeros up to a whole block.
func pad(value string) []byte {
	padded := make([]byte, (len(value)/blockSize+1)*blockSize)
	copy(padded, value)
	padded[len(value)] = 0x80
	return padded
}

func unpad(padded []byte) (string, error) {
	end := bytes.LastIndexByte(padded, 0x80)
	if end < 0 {
		return "", fmt.Errorf("%w: it is not padded", ErrTampered)
	}
	return string(padded[:end]), nil
}
