package flows_test

import (
	"regexp"
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	privacyv1 "github.com/triangle-suite/triangle/contracts/privacy/v1"
)

// suggestsAPerson matches the names of fields that hold, as a rule, something
// about a person, or somebody's own words.
var suggestsAPerson = regexp.MustCompile(`(^|_)(` +
	`email|e_mail|mail|phone|mobile|fax|name|given|surname|initials|title|gender|sex|` +
	`birth|born|age|nationality|passport|social|security|ssn|bsn|tax|iban|account|card|` +
	`address|street|house|postcode|postal|zip|city|town|suburb|state|country|latitude|longitude|location|` +
	`ip|cookie|device|visitor|user|login|password|photo|voice|signature|` +
	`text|message|note|notes|comment|remark|words|transcript|subject|body|features|number|by|reason|detail|content|source` +
	`)(_|$)`)

// notPersonal lists the fields whose names suggest a person and that are none
// the less written in clear, and why they may be.
var notPersonal = map[string]string{
	"channel.v1.ContactStarted.visitor_id":         "the channel's own pseudonym; only the channel can tell whose it is",
	"channel.v1.IdentityClaimed.customer_number":   "the company's own number: it names a customer to the company alone",
	"sales.v1.CustomerRegistered.customer_number":  "the company's own number: it names a customer to the company alone",
	"sales.v1.CustomerViewChanged.customer_number": "the company's own number: it names a customer to the company alone",
	"sales.v1.CustomerRegistered.source":           "a system or a kind of intake, such as import",
	"sales.v1.CustomerErased.by":                   "who had a person erased, kept to account for it; no visitor",
	"sales.v1.CustomerErased.reason":               "why, by contract without anything about the person",
	"sales.v1.OrderPlaced.source":                  "a system or a kind of intake, such as import",
	"sales.v1.RequestStatusChanged.detail":         "the company's own words on a process, by contract not on a person",
	"sales.v1.LeadStatusChanged.detail":            "the company's own words on a process, by contract not on a person",
	"sales.v1.DispatchOrdered.message_id":          "an id that was made up",
	"sales.v1.DispatchOrdered.content":             "a proposition's content, the same for everybody",
	"sales.v1.LeadAccepted.content":                "a proposition's content, the same for everybody",
	"channel.v1.MessageAccepted.content":           "a proposition's content, the same for everybody",
	"marketing.v1.LeadIssued.content":              "a proposition's content, the same for everybody",
	"marketing.v1.CampaignRunPlanned.content":      "a proposition's content, the same for everybody",
	"journey.v1.NextBestAction.content":            "a proposition's content, the same for everybody",
	"journey.v1.NextBestAction.name":               "a proposition's name",
	"marketing.v1.PropositionDefined.name":         "a proposition's name",
	"marketing.v1.CampaignDefined.name":            "a campaign's name",
	"marketing.v1.SegmentDefined.name":             "a segment's name",
	"marketing.v1.Content.text":                    "a proposition's script or content, the same for everybody",
	"channel.v1.MessageAccepted.message_id":        "an id that was made up",
	"channel.v1.MessageSent.message_id":            "an id that was made up",
	"channel.v1.MessageBounced.message_id":         "an id that was made up",
	"channel.v1.MessageRefused.message_id":         "an id that was made up",
	"channel.v1.MessageOutcomeUnknown.message_id":  "an id that was made up",
	"channel.v1.MessageBounced.reason":             "a class of bounce, by contract without the address",
	"channel.v1.MessageRefused.reason":             "the company's own words on a process, by contract not on a person",
	"channel.v1.MessageOutcomeUnknown.reason":      "the company's own words on a process, by contract not on a person",
	"channel.v1.DeliveryBegun.message_id":          "an id that was made up",
	"channel.v1.DeliveryPostponed.message_id":      "an id that was made up",
	"channel.v1.DeliveryPostponed.reason":          "a partner's answer by its code, by contract without the address",
	"channel.v1.CallTaken.message_id":              "an id that was made up",
	"channel.v1.CallReturned.message_id":           "an id that was made up",
	"channel.v1.CallEnded.message_id":              "an id that was made up",
	"channel.v1.RequestHandledInPart.reason":       "the company's own words on a process, by contract not on a person",
	"flow.v1.CadenceRequested.by":                  "who operates the suite, kept to account for a change; no visitor",
	"flow.v1.CadenceRequested.reason":              "why a flow is operated so; no visitor",
	"flow.v1.CatalogueFlow.name":                   "the name of a flow",
	"flow.v1.RolloutBegan.by":                      "who operates the suite, kept to account for a change; no visitor",
	"flow.v1.RolloutReturned.reason":               "why an image was taken back: a text of the program's own",
	"flow.v1.RolloutEnded.reason":                  "why an image was taken back: a text of the program's own",
	"flow.v1.ShadowRequested.by":                   "who operates the suite, kept to account for a change; no visitor",
	"flow.v1.ShadowRequested.reason":               "why a flow is operated so; no visitor",
	"flow.v1.ShadowEnded.by":                       "who operates the suite, kept to account for a change; no visitor",
	"flow.v1.ShadowEnded.reason":                   "why a flow is operated so; no visitor",
	"flow.v1.ShadowCompared.reason":                "why nothing was compared: a text of the program's own",
	"flow.v1.ShadowSide.content_digest":            "a sum over the rows of tables, without what is personal",
	"flow.v1.MigrationPlanned.by":                  "the operator",
	"flow.v1.MigrationEnded.by":                    "the operator",
	"flow.v1.MigrationEnded.reason":                "why a flow is operated so; no visitor",
	"flow.v1.PlannedStep.name":                     "a step's name",
	"flow.v1.ParityJudged.reason":                  "why nothing was compared: a text of the program's own",
	"flow.v1.ApprovalCounted.by":                   "who operates the suite, kept to account for a change; no visitor",
	"flow.v1.MigrationHeld.detail":                 "what to do: a text of the program's own",
	"flow.v1.MigrationSteered.by":                  "who operates the suite, kept to account for a change; no visitor",
	"flow.v1.WindowRequested.by":                   "who operates the suite, kept to account for a change; no visitor",
	"flow.v1.WindowRequested.reason":               "why a flow is operated so; no visitor",
	"flow.v1.RetryRequested.by":                    "who operates the suite, kept to account for a change; no visitor",
	"flow.v1.RetryRequested.reason":                "why a flow is operated so; no visitor",
	"flow.v1.SkipRequested.by":                     "who operates the suite, kept to account for a change; no visitor",
	"flow.v1.SkipRequested.reason":                 "why a flow is operated so; no visitor",
	"flow.v1.AuditRequested.by":                    "who operates the suite, kept to account for an audit; no visitor",
	"flow.v1.AuditCompleted.reason":                "an error's text; errors quote no personal value",
	"flow.v1.AuditedEnd.content_digest":            "a sum of hashes over rows, without personal columns",
	"flow.v1.AuditFault.detail":                    "an event's type, a reaction's name, or columns that are not personal",
	"flow.v1.ParkedEvent.reason":                   "an error's text; errors quote no personal value",
	"flow.v1.ParkingAnswered.reason":               "an error's text; errors quote no personal value",
	"flow.v1.EventParked.reason":                   "an error's text; errors quote no personal value",
	"flow.v1.TypeActivated.by":                     "who operates the suite, kept to account for a change; no visitor",
	"flow.v1.TypeActivated.reason":                 "why a type is activated; no visitor",
	"flow.v1.EpochClosed.content_digest":           "a digest of rows without their personal columns",
	"flow.v1.EpochClosed.content_missing":          "an error's text; errors quote no personal value",
	"flow.v1.CauseExpired.reason":                  "the company's own words on a process, by contract not on a person",
}

// What is written in clear can never be taken back: erasing a person destroys a
// key, and reaches sealed fields only.
func TestWhatSuggestsAPersonIsSealed(t *testing.T) {
	excused := map[string]bool{}
	for _, field := range fieldsOf(t) {
		name := string(field.FullName())
		_, excused[name] = notPersonal[name]
		suggests := field.Kind() == protoreflect.StringKind && suggestsAPerson.MatchString(string(field.Name()))
		switch {
		case suggests && !marked(field, privacyv1.E_Personal) && !excused[name]:
			t.Errorf("%s is written in clear: mark it (privacy.v1.personal), or say in notPersonal why it may be", name)
		case excused[name] && marked(field, privacyv1.E_Personal):
			t.Errorf("%s is sealed: it needs no excuse", name)
		case excused[name] && !suggests:
			t.Errorf("%s suggests nobody: it needs no excuse", name)
		}
	}
	for name, reason := range notPersonal {
		if !excused[name] {
			t.Errorf("%s is excused, and in no event", name)
		}
		if reason == "" {
			t.Errorf("%s is excused without a reason", name)
		}
	}
}

// A sealed field needs to be a text, and its event needs to say whose it is, or
// nothing of it could be written.
func TestWhatIsSealedHasASubject(t *testing.T) {
	for eventType, event := range events(t) {
		personal := slices.ContainsFunc(reachable(event), func(f protoreflect.FieldDescriptor) bool {
			return marked(f, privacyv1.E_Personal)
		})
		subject := slices.ContainsFunc(direct(event), func(f protoreflect.FieldDescriptor) bool {
			return marked(f, privacyv1.E_Subject)
		})
		if personal != subject {
			t.Errorf("%s: personal fields %v, a field that names their subject %v", eventType, personal, subject)
		}
	}
	for _, field := range fieldsOf(t) {
		if marked(field, privacyv1.E_Personal) && (field.Kind() != protoreflect.StringKind || field.IsMap()) {
			t.Errorf("%s is personal, and only texts can be sealed", field.FullName())
		}
		if marked(field, privacyv1.E_Personal) && marked(field, privacyv1.E_Subject) {
			t.Errorf("%s names the key and is sealed with it", field.FullName())
		}
	}
}

// fieldsOf lists every field of every event, to any depth, once.
func fieldsOf(t *testing.T) []protoreflect.FieldDescriptor {
	t.Helper()
	seen := map[protoreflect.FullName]protoreflect.FieldDescriptor{}
	for _, event := range events(t) {
		for _, field := range reachable(event) {
			seen[field.FullName()] = field
		}
	}
	var all []protoreflect.FieldDescriptor
	for _, field := range seen {
		all = append(all, field)
	}
	return all
}

// reachable lists the fields of a message and of the messages in it.
func reachable(message protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	var all []protoreflect.FieldDescriptor
	seen := map[protoreflect.FullName]bool{}
	var visit func(protoreflect.MessageDescriptor)
	visit = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] {
			return
		}
		seen[m.FullName()] = true
		for _, field := range direct(m) {
			all = append(all, field)
			if field.Message() != nil {
				visit(field.Message())
			}
		}
	}
	visit(message)
	return all
}

func direct(message protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	var all []protoreflect.FieldDescriptor
	for i := range message.Fields().Len() {
		all = append(all, message.Fields().Get(i))
	}
	return all
}
