package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/triangle-suite/triangle/services/internal/fault"
)

func TestAFaultIsFoundThroughWrapping(t *testing.T) {
	cause := errors.New("no rows")
	err := fmt.Errorf("get contact: %w", fault.NotFound("contact %s is not there", "c1").Because(cause))

	f, ok := fault.Of(err)
	if !ok || f.Message != "contact c1 is not there" {
		t.Fatalf("Of(%v) = %v, %t", err, f, ok)
	}
	if !errors.Is(err, cause) {
		t.Errorf("the cause is lost: %v", err)
	}
	if !fault.Is(err, fault.KindNotFound) || fault.Is(err, fault.KindConflict) || fault.Is(cause, fault.KindNotFound) {
		t.Error("Is tells the kinds apart wrongly")
	}
}

func TestAWrappedErrorOfTheFormatIsKept(t *testing.T) {
	cause := errors.New("it has ended")
	err := fault.Precondition("contact c1: %w", cause)
	if !errors.Is(err, cause) || err.Error() != "contact c1: it has ended" {
		t.Errorf("err = %v", err)
	}
}

func TestInvalidNamesEachField(t *testing.T) {
	err := fault.Invalid(fault.Field("contact_id", "is missing"), fault.Field("wait", "must be at most %s", "10s"))
	if got, want := err.Error(), "contact_id is missing; wait must be at most 10s"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	want := []fault.Violation{{Field: "contact_id", Description: "is missing"}, {Field: "wait", Description: "must be at most 10s"}}
	if diff := cmp.Diff(want, err.Violations); diff != "" {
		t.Error(diff)
	}
}
