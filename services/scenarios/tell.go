package scenarios

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/triangle-suite/triangle/services/client"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

// refusal words the answer of a service that refuses a call.
func refusal(err error) (string, bool) {
	var answered interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &answered) || client.Passing(err) {
		return "", false
	}
	s := answered.GRPCStatus() // its message is the service's own, without what others have put before it
	if s.Code() == codes.Internal {
		return "", false
	}
	reason := ""
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetReason() != s.Code().String() {
			reason = info.GetReason()
		}
		if bad, ok := detail.(*errdetails.BadRequest); ok && len(bad.GetFieldViolations()) > 0 {
			var lines []string
			for _, v := range bad.GetFieldViolations() {
				lines = append(lines, v.GetField()+" "+v.GetDescription())
			}
			return "refused: " + strings.Join(lines, "; "), true
		}
	}
	return fmt.Sprintf("refused: %s (%s)", s.Message(), reason), true
}

// value is the value of an enum that a word stands for.
func value[E interface {
	~int32
	protoreflect.Enum
}](word string) (E, error) {
	var e E
	values := e.Descriptor().Values()
	for i := range values.Len() {
		if n := values.Get(i).Number(); n != 0 && scenario.Word(e.Descriptor(), n) == word {
			return E(n), nil
		}
	}
	return e, fmt.Errorf("%s has no value %q", e.Descriptor().Name(), word)
}

// word is what people call an enum's value: call centre.
func word(e protoreflect.Enum) string {
	return strings.ReplaceAll(scenario.Word(e.Descriptor(), e.Number()), "-", " ")
}

// cents reads an amount of money.
func cents(amount string) (int64, error) {
	if amount == "" {
		return 0, nil
	}
	whole, part, _ := strings.Cut(amount, ".")
	n, err := strconv.ParseInt(whole+(part + "00")[:2], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no amount of money: %w", amount, err)
	}
	return n, nil
}

func money(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

// several counts things.
func several(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// number reads a number; 0 when it is not given.
func (w words) number(name string) (uint32, error) {
	text := w.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s is no number: %w", name, err)
	}
	return uint32(n), nil
}
