package channel

import (
	"slices"
	"time"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/outbound"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/worker"
)

// senders send the outbound messages, each by its own way: a mail server that is
// away keeps nobody from being called.
func senders(parts host.Parts, runtime *flow.Runtime, settings Settings) ([]*worker.Worker, error) {
	mail, err := settings.mail()
	if err != nil {
		return nil, err
	}
	letters, err := settings.print()
	if err != nil {
		return nil, err
	}
	var workers []*worker.Worker
	for _, s := range []*outbound.Sender{
		{Name: "mail", Channels: []journeyv1.Channel{journeyv1.Channel_CHANNEL_EMAIL}, Carrier: mail, Unable: unless(mail, "the channel has nobody to send e-mail by")},
		{Name: "print", Channels: []journeyv1.Channel{journeyv1.Channel_CHANNEL_PRINT}, Carrier: letters, Unable: unless(letters, "the channel has nobody to print letters")},
		{Name: "call list", Channels: uncarried()},
	} {
		s.Streams, s.DB, s.Now = parts.Streams, parts.DB, time.Now
		s.Flow = func(name string) flow.State { return runtime.Intake(name).State() }
		w, err := s.Partner().Worker(worker.Parts{
			DB: parts.DB, Log: parts.Streams.Log, Tracer: parts.Streams.Tracer, Metrics: parts.Metrics, Now: time.Now, Logger: parts.Logger,
		})
		if err != nil {
			return nil, err
		}
		workers = append(workers, w)
	}
	return workers, nil
}

// unless is why there is no carrier, where there is none.
func unless(c Carrier, why string) string {
	if c != nil {
		return ""
	}
	return why
}

// uncarried are the channels whose messages nobody has to carry: the call centre's,
// which stand on its list, and those that carry none, which are refused.
func uncarried() []journeyv1.Channel {
	var all []journeyv1.Channel
	for number := range journeyv1.Channel_name {
		switch c := journeyv1.Channel(number); c {
		case journeyv1.Channel_CHANNEL_EMAIL, journeyv1.Channel_CHANNEL_PRINT:
		default:
			all = append(all, c)
		}
	}
	slices.Sort(all)
	return all
}
