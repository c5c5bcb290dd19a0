// Package watermillesdb lets Watermill publish to, and subscribe to, an
// EventStoreDB or KurrentDB, or any store that speaks its protocol.
//
//	store, err := watermillesdb.Open("esdb://127.0.0.1:2113?tls=false")
//	...
//	defer store.Close()
//	publisher, err := watermillesdb.NewPublisher(store, watermillesdb.PublisherConfig{})
//	...
//	subscriber, err := watermillesdb.NewSubscriber(store, watermillesdb.SubscriberConfig{ConsumerGroup: "mail"})
//	...
//	err = publisher.Publish("letters", message.NewMessage(watermill.NewUUID(), []byte(`{"to":"Jane"}`)))
//	...
//	letters, err := subscriber.Subscribe(ctx, "letters")
//	...
//	for letter := range letters {
//		letter.Ack() // or Nack, and it comes again
//	}
//
// A topic is a stream, and a message is an event. What a subscriber may rely on:
//
//   - Each message comes at least once, in the order of the stream, and the next
//     one after the one before has been acked. A message that is nacked comes
//     again before any other.
//   - Subscribers of one consumer group share the topics: one of them at a time
//     has a topic, and the others stand by. A group that is new begins at the
//     start of the topic. Who wants more to work on one topic makes it several.
//   - What was not acked when a subscriber closes, fails, or loses the store comes
//     again, and so may what was acked within the last CheckpointEvery when it
//     crashed.
//   - Without a consumer group each subscription gets every message of the topic
//     from its start, and nothing is remembered of it.
//
// # How a group shares its topics
//
// How far a group has come in a topic is kept in a stream of its own, together
// with who has the topic. Each record of it is appended under the expected
// revision of the one before: so only one subscriber can have taken the topic,
// and one that was frozen and comes back can't write over its successor.
//
//	       free, or not renewed for Lease              each CheckpointEvery, if something was acked,
//	stand by ───────── take ─────────▶ have it ──┐     and each third of a Lease
//	   ▲                                  │  ▲   │ renew
//	   │   two thirds of Lease without    │  └───┘
//	   └── a renewal, or another's record ┘
//	                                      └── close ──▶ give it up: another takes it at once
//
// No two clocks are compared: a holder counts its lease from before it asks for
// it, and who stands by counts from when it has seen the record. So the holder
// has stopped, and the contexts of its messages have ended, before another one
// begins.
//
// The store's own persistent subscriptions are not used for this. They hand
// messages out to several consumers at once and promise no order: what is
// retried, or was in flight when a consumer went away, comes after what
// followed it.
package watermillesdb
