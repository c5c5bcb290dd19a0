package telemetry

// What OpenTelemetry's conventions for messaging ask of every metric of it.
const (
	// MessagingSystem is the value of messaging.system: which protocol the event
	// store speaks.
	MessagingSystem = "eventstoredb"
)

// MessagingBuckets are the buckets of messaging durations, in seconds.
var MessagingBuckets = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
