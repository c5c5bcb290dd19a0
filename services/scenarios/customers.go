package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

var customerCommands = []command{
	{form: "CRM registers NAME", do: (*play).register},
	{form: "CRM hears that NAME moved", do: (*play).move},
	{form: "CRM hears that NAME changed consent to CONSENT", do: (*play).changeConsent},
	{form: "CRM takes order ORDER of NAME", do: (*play).order},
	{form: "CRM takes order ORDER of NAME in their contact", do: (*play).orderInContact},
	{form: "CRM takes order ORDER of NAME for their lead", do: (*play).orderOfLead},
	{form: "CRM stops telling views", do: tellViews(false)},
	{form: "CRM tells views again", do: tellViews(true)},
	{form: "CRM knows NAME", do: (*play).showCustomer, again: true},
	{form: "chain control of PROCESS", do: (*play).showProcess, again: true},
}

func tellViews(told bool) deed {
	return func(p *play, _ context.Context, _ words) (string, error) {
		if p.Views == nil {
			return "", errors.New("nobody can stop CRM between two steps here: say in the header that the text is for simulation only")
		}
		p.Views(told)
		if told {
			return "it does", nil
		}
		return "it does not", nil
	}
}

// itself is the source of what texts enter.
const itself = "scenario"

func (p *play) personOf(w words) *journeyv1.Person {
	person := &journeyv1.Person{
		GivenName: w.Get("given-name"), Surname: w.Get("surname"), Email: p.names.email(w.Get("email")), Phone: p.names.phone(w.Get("phone")),
	}
	if street := w.Get("street"); street != "" {
		person.Address = &journeyv1.Address{StreetNumber: w.Get("house"), Street: street, Suburb: w.Get("town"), Postcode: w.Get("postcode")}
	}
	return person
}

func (p *play) register(ctx context.Context, w words) (string, error) {
	who := p.person(w.said["NAME"])
	registered, err := p.Services.Sales.RegisterCustomer(p.keyed(ctx), &salesv1.RegisterCustomerRequest{
		CustomerNumber: p.names.own(who.name), Person: p.personOf(w), Source: itself,
	})
	if err != nil {
		return "", err
	}
	who.customer = registered.GetCustomerId()
	p.names.call(who.customer, who.name)
	return fmt.Sprintf("%s is a %s customer", who.name, word(registered.GetIdentification())), nil
}

func (p *play) move(ctx context.Context, w words) (string, error) {
	who, err := p.customer(w)
	if err != nil {
		return "", err
	}
	_, err = p.Services.Sales.ChangeCustomer(p.keyed(ctx), &salesv1.ChangeCustomerRequest{CustomerId: who.customer, Person: p.personOf(w)})
	return "noted", err
}

func (p *play) changeConsent(ctx context.Context, w words) (string, error) {
	who, err := p.customer(w)
	if err != nil {
		return "", err
	}
	consent, err := value[journeyv1.Consent](w.said["CONSENT"])
	if err != nil {
		return "", err
	}
	_, err = p.Services.Sales.ChangeConsent(p.keyed(ctx), &salesv1.ChangeConsentRequest{CustomerId: who.customer, Consent: consent})
	return "noted", err
}

func (p *play) order(ctx context.Context, w words) (string, error) {
	return p.place(ctx, w, &salesv1.PlaceOrderRequest{})
}

func (p *play) orderInContact(ctx context.Context, w words) (string, error) {
	return p.place(ctx, w, &salesv1.PlaceOrderRequest{ContactId: p.person(w.said["NAME"]).contact})
}

func (p *play) orderOfLead(ctx context.Context, w words) (string, error) {
	return p.place(ctx, w, &salesv1.PlaceOrderRequest{LeadId: p.leads[w.said["NAME"]]})
}

// place places an order of a customer, whom their first order makes one.
func (p *play) place(ctx context.Context, w words, order *salesv1.PlaceOrderRequest) (string, error) {
	who, name := p.person(w.said["NAME"]), w.said["ORDER"]
	amount, err := cents(w.Get("amount"))
	if err != nil {
		return "", err
	}
	order.CustomerNumber, order.OrderNumber, order.Source = p.names.own(who.name), p.names.own(name), itself
	order.OrderedOn, order.Quantity, order.AmountCents = "2026-03-01", 1, amount
	placed, err := p.Services.Sales.PlaceOrder(p.keyed(ctx), order)
	if err != nil {
		return "", err
	}
	who.customer = placed.GetCustomerId()
	p.names.call(who.customer, who.name)
	p.names.call(placed.GetOrderId(), "order "+name)
	return "order " + name + " is placed", nil
}

func (p *play) showCustomer(ctx context.Context, w words) (string, error) {
	who, err := p.customer(w)
	if err != nil {
		return "", err
	}
	found, err := p.Services.Sales.GetCustomer(ctx, &salesv1.GetCustomerRequest{By: &salesv1.GetCustomerRequest_CustomerId{CustomerId: who.customer}})
	if err != nil {
		return "", err
	}
	c := found.GetCustomer()
	known := []string{several(int(c.GetOrders()), "order") + ", " + money(c.GetSpentCents())}
	if email := c.GetPerson().GetEmail(); email != "" {
		known = append(known, email)
	}
	if phone := c.GetPerson().GetPhone(); phone != "" {
		known = append(known, phone)
	}
	return strings.Join(known, "; "), nil
}

// showProcess shows how many have come to each step of a commercial process, how
// many are there now, and whether it is measured how long that took.
func (p *play) showProcess(ctx context.Context, w words) (string, error) {
	found, err := p.Services.Sales.GetProcesses(ctx, &salesv1.GetProcessesRequest{Process: w.said["PROCESS"]})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, process := range found.GetProcesses() {
		for _, step := range process.GetSteps() {
			fmt.Fprintf(&b, "%s, by %s: %d came, %d there", step.GetStep(), strings.Join(step.GetMovedBy(), " or "), step.GetEntered(), step.GetStanding())
			if n := step.GetTimes().GetCount(); n > 0 {
				fmt.Fprintf(&b, ", %d went on in a time that is measured", n)
			}
			b.WriteByte('\n')
		}
	}
	return b.String(), nil
}
