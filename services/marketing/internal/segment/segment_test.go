package segment

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/scenario"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
)

// offers are the propositions of the tests, with their topics.
func offers() []proto.Message {
	return []proto.Message{
		&marketingv1.PropositionDefined{PropositionId: "box-set", Topic: "Jazz"},
		&marketingv1.PropositionDefined{PropositionId: "tickets", Topic: "concerts"},
		&marketingv1.LeadIssued{LeadId: "lead", PropositionId: "tickets"},
	}
}

// MA-4: the scenarios tell what happens to customers, and whom rules hit; or what
// is wrong with a rule, and where.
func TestScenarioMA4Segments(t *testing.T) {
	scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
		w := newTables(t)
		w.take(offers()...)
		take := func(m func(scenario.Words) proto.Message) scenario.Command {
			return func(d scenario.Words) string {
				w.take(m(d))
				return ""
			}
		}
		return map[string]scenario.Command{
			"rule": func(d scenario.Words) string { return w.reach(t, d.Input) },
			"days": func(d scenario.Words) string {
				w.now = w.now.Add(time.Duration(d.Number(t, "pass")) * 24 * time.Hour)
				return ""
			},
			"order": take(func(d scenario.Words) proto.Message {
				m := &salesv1.OrderPlaced{CustomerId: d.Get("customer")}
				if _, err := fmt.Sscan(d.Get("cents"), &m.AmountCents); err != nil {
					d.Fatalf(t, "%v", err)
				}
				return m
			}),
			"consent": take(func(d scenario.Words) proto.Message {
				return &salesv1.ConsentChanged{
					CustomerId: d.Get("customer"), Consent: journeyv1.Consent(journeyv1.Consent_value["CONSENT_"+d.Get("is")]),
				}
			}),
			"complaint": take(func(d scenario.Words) proto.Message {
				return &salesv1.RequestStatusChanged{
					RequestId: d.Get("id"), CustomerId: d.Get("customer"), Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT,
					Status: journeyv1.RequestStatus(journeyv1.RequestStatus_value["REQUEST_STATUS_"+d.Get("status")]),
				}
			}),
			"contact": take(func(d scenario.Words) proto.Message {
				return &channelv1.ContactStarted{ContactId: d.Get("id"), CustomerId: d.Get("customer"), Channel: journeyv1.Channel_CHANNEL_WEBSITE}
			}),
			"interest": take(func(d scenario.Words) proto.Message {
				return &channelv1.InterestShown{ContactId: d.Get("contact"), Topic: d.Get("topic")}
			}),
			"banner": take(func(d scenario.Words) proto.Message {
				return &channelv1.BannerClicked{ContactId: d.Get("contact"), PropositionId: d.Get("proposition")}
			}),
			"event": take(func(d scenario.Words) proto.Message {
				return &channelv1.CommercialEventRecorded{ContactId: d.Get("contact"), Kind: d.Get("kind"), Version: 1, Data: d.Input}
			}),
			"answered": take(func(d scenario.Words) proto.Message {
				return &channelv1.PropositionAnswered{
					ContactId: d.Get("contact"), PropositionId: d.Get("proposition"),
					Answer: journeyv1.Answer(journeyv1.Answer_value["ANSWER_"+d.Get("answer")]),
				}
			}),
		}
	})
}

// reach tells whom a rule hits, as a dry run does, and who they are.
func (w *tables) reach(t *testing.T, rule string) string {
	t.Helper()
	propositions, err := proposition.All(t.Context(), w.db)
	if err != nil {
		t.Fatal(err)
	}
	var c call.Checks
	q := checkRule(&c, "rule", rule, propositions, w.now)
	if err := c.Err(); err != nil {
		return scenario.Tell(nil, err)
	}
	hit, known, err := q.reach(t.Context(), w.db)
	if err != nil {
		t.Fatal(err)
	}
	who := []string{}
	for _, customer := range []string{"anna", "bert", "carl", "dora"} {
		yes, err := q.hits(t.Context(), w.db, customer)
		if err != nil {
			t.Fatal(err)
		}
		if yes {
			who = append(who, customer)
		}
	}
	return fmt.Sprintf("%d of %d: %s\n", hit, known, strings.Join(who, ", "))
}

// customer is what a naive twin knows of one: rules are looked at one condition
// after the other, on lists.
type customer struct {
	orders, spent, complaints, contacts int64
	consent                             int32
	has                                 map[string][]string // by attribute
	ago                                 time.Duration       // how long they have done nothing
}

func (k customer) belongs(r Rule) bool {
	switch r.join {
	case "and":
		return !slices.ContainsFunc(r.parts, func(r Rule) bool { return !k.belongs(r) })
	case "or":
		return slices.ContainsFunc(r.parts, k.belongs)
	case "not":
		return !k.belongs(r.parts[0])
	}
	c := r.condition
	switch c.operator {
	case "include", "exclude":
		lately := c.within == 0 || k.ago < c.within
		return (lately && slices.Contains(k.has[c.attribute.name], strings.ToLower(c.value.(string)))) == (c.operator == "include")
	case "is", "is not":
		return (k.consent == c.value.(int32)) == (c.operator == "is")
	}
	is, value := map[string]int64{"orders": k.orders, "spent": k.spent, "open_complaints": k.complaints, "contacts": k.contacts}[c.attribute.name], c.value.(int64)
	return map[string]bool{
		"=": is == value, "!=": is != value, "<": is < value, "<=": is <= value, ">": is > value, ">=": is >= value,
	}[c.operator]
}

// anyRule draws a rule as somebody might write it.
func anyRule(t *rapid.T, depth int) string {
	shape := rapid.IntRange(0, 5).Draw(t, "shape")
	if depth == 0 {
		shape = 0
	}
	switch shape {
	case 1:
		return "not " + anyRule(t, 0)
	case 2, 3:
		return "(" + anyRule(t, depth-1) + []string{" and ", " OR\n"}[shape-2] + anyRule(t, depth-1) + ")"
	case 4:
		return anyRule(t, depth-1) + " and " + anyRule(t, depth-1)
	case 5:
		return anyRule(t, depth-1) + " or " + anyRule(t, depth-1)
	}
	compared := rapid.SampledFrom([]string{"=", "!=", "<", "<=", ">", ">="}).Draw(t, "operator")
	n := rapid.IntRange(0, 3).Draw(t, "n")
	member := rapid.SampledFrom([]string{"include", "exclude"}).Draw(t, "member")
	offer := rapid.SampledFrom([]string{"box-set", "tickets"}).Draw(t, "offer")
	lately := rapid.SampledFrom([]string{"", "", " within 1 day", " within 4 days", " within 6 days"}).Draw(t, "lately")
	return rapid.SampledFrom([]string{
		fmt.Sprintf("orders %s %d", compared, n),
		fmt.Sprintf("spent%s%d.%d", compared, n, n),
		fmt.Sprintf("open_complaints %s %d", compared, n),
		fmt.Sprintf("contacts %s %d", compared, n),
		"consent " + rapid.SampledFrom([]string{"is", "is not"}).Draw(t, "is") + " " + rapid.SampledFrom([]string{"unknown", "granted", "withdrawn"}).Draw(t, "consent"),
		"interests " + member + ` "` + rapid.SampledFrom([]string{"jazz", "Concerts", "nothing"}).Draw(t, "topic") + `"` + lately,
		"events " + member + ` "` + rapid.SampledFrom([]string{"interest-shown", "banner-clicked", "brochure-taken", "Brochure-Taken"}).Draw(t, "kind") + `"` + lately,
		fmt.Sprintf("presented %s %q%s", member, offer, lately),
		fmt.Sprintf("accepted %s %q%s", member, offer, lately),
		fmt.Sprintf("rejected %s %q%s", member, offer, lately),
	}).Draw(t, "condition")
}

// live draws what a customer does, and what is known of them then.
func live(t *rapid.T, name string) (done []proto.Message, k customer) {
	k.has = map[string][]string{}
	if k.orders = int64(rapid.IntRange(0, 3).Draw(t, "orders")); k.orders > 0 {
		for range k.orders {
			cents := int64(rapid.SampledFrom([]int{0, 50, 101, 111, 202}).Draw(t, "cents"))
			k.spent += cents
			done = append(done, &salesv1.OrderPlaced{CustomerId: name, AmountCents: cents})
		}
	}
	if k.consent = rapid.Int32Range(0, 2).Draw(t, "consent"); k.consent > 0 {
		done = append(done, &salesv1.ConsentChanged{CustomerId: name, Consent: journeyv1.Consent(k.consent)})
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "requests") {
		status := journeyv1.RequestStatus(rapid.Int32Range(1, 3).Draw(t, "status"))
		if status != journeyv1.RequestStatus_REQUEST_STATUS_DONE {
			k.complaints++
		}
		done = append(done, &salesv1.RequestStatusChanged{
			RequestId: fmt.Sprint(name, i), CustomerId: name, Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT, Status: status,
		})
	}
	k.contacts = int64(rapid.IntRange(0, 2).Draw(t, "contacts"))
	for i := range k.contacts {
		contact := fmt.Sprint(name, "-", i)
		done = append(done, &channelv1.ContactStarted{ContactId: contact, CustomerId: name})
		if topic := rapid.SampledFrom([]string{"", "jazz", "concerts"}).Draw(t, "interest"); topic != "" {
			k.has["interests"] = append(k.has["interests"], topic)
			if rapid.Bool().Draw(t, "of a registered kind") {
				k.has["events"] = append(k.has["events"], "brochure-taken")
				done = append(done, &channelv1.CommercialEventRecorded{ContactId: contact, Kind: "brochure-taken", Data: fmt.Sprintf(`{"topic": %q, "copies": 2}`, topic)})
			} else {
				k.has["events"] = append(k.has["events"], "interest-shown")
				done = append(done, &channelv1.InterestShown{ContactId: contact, Topic: topic})
			}
		}
		offer := rapid.SampledFrom([]string{"box-set", "tickets"}).Draw(t, "about")
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0:
			done = append(done, &channelv1.BannerClicked{ContactId: contact, PropositionId: offer})
			k.has["interests"] = append(k.has["interests"], map[string]string{"box-set": "jazz", "tickets": "concerts"}[offer])
			k.has["events"] = append(k.has["events"], "banner-clicked")
		case 1:
			done, k.has["presented"] = append(done, &channelv1.PropositionPresented{ContactId: contact, PropositionId: offer}), append(k.has["presented"], offer)
		case 2:
			done = append(done, &channelv1.PropositionAnswered{ContactId: contact, PropositionId: offer, Answer: journeyv1.Answer_ANSWER_ACCEPTED})
			k.has["accepted"] = append(k.has["accepted"], offer)
		case 3:
			done = append(done, &channelv1.PropositionAnswered{ContactId: contact, PropositionId: offer, Answer: journeyv1.Answer_ANSWER_REJECTED})
			k.has["rejected"] = append(k.has["rejected"], offer)
		case 4:
			done = append(done, &channelv1.LeadResponseReceived{ContactId: contact, LeadId: "lead", Answer: journeyv1.Answer_ANSWER_ACCEPTED})
			k.has["accepted"] = append(k.has["accepted"], "tickets")
		}
	}
	return done, k
}

func TestRulesAgreeWithANaiveTwin(t *testing.T) {
	w := newTables(t)
	w.take(offers()...)
	propositions, err := proposition.All(t.Context(), w.db)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		w.empty()
		all, known := map[string]customer{}, map[string]bool{}
		for _, name := range []string{"anna", "bert", "carl"} {
			done, k := live(rt, name)
			w.take(done...)
			pass := time.Duration(rapid.IntRange(0, 3).Draw(rt, "days that pass")) * 24 * time.Hour
			w.now = w.now.Add(pass)
			all[name], known[name] = k, len(done) > 0
			for name, k := range all {
				k.ago += pass
				all[name] = k
			}
		}
		for range 2 {
			written := anyRule(rt, 3)
			rule, err := Parse(written)
			if err != nil {
				rt.Fatalf("%s: %v", written, err)
			}
			q, err := rule.compile(propositions, w.now)
			if err != nil {
				rt.Fatalf("%s: %v", written, err)
			}
			want := uint64(0)
			for name, k := range all {
				hit, err := q.hits(t.Context(), w.db, name)
				if err != nil {
					rt.Fatalf("%s: %v", written, err)
				}
				if hit != k.belongs(rule) {
					rt.Errorf("%s: %s belongs: %v, want %v; known: %+v", written, name, hit, k.belongs(rule), k)
				}
				if k.belongs(rule) && known[name] {
					want++
				}
			}
			if got, _, err := q.reach(t.Context(), w.db); err != nil || got != want {
				rt.Errorf("%s reaches %d (%v), want %d", written, got, err, want)
			}
		}
	})
}

// Whatever is written is a rule, or is refused at a place within it.
func FuzzParse(f *testing.F) {
	for _, rule := range []string{
		`orders >= 3 and interests include "jazz"`, `not (spent < 99.50 or consent is not granted)`, `events include "a" within 7 days`, "(((", `"`, "orders = 99999999999999999999", "é = 1",
	} {
		f.Add(rule)
	}
	f.Fuzz(func(t *testing.T, rule string) {
		_, err := Parse(rule)
		if err == nil {
			return
		}
		wrong, ok := err.(*Problem) //nolint:errorlint // Parse promises no other
		if !ok || wrong.Line < 1 || wrong.Column < 1 || wrong.Line > strings.Count(rule, "\n")+1 || wrong.Text == "" {
			t.Errorf("%q is refused with %v", rule, err)
		}
	})
}

func TestRulesHaveBounds(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("orders = 1 and ", mostConditions), " and ")
	if _, err := Parse(many); err != nil {
		t.Errorf("a rule of %d conditions: %v", mostConditions, err)
	}
	for _, rule := range []string{many + " and orders = 1", strings.Repeat("(", 1000) + "orders = 1", strings.Repeat("not ", 1000) + "orders = 1"} {
		if _, err := Parse(rule); err == nil || !strings.Contains(err.Error(), "at most") {
			t.Errorf("a rule beyond its bounds: %v", err)
		}
	}
}
