package config_test

import (
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/apitest"
)

const oneReplica = "SQLite is a file of one replica"

func digest(of string) string {
	return "registry.example.com/" + of + "@sha256:" + strings.Repeat("0a", 32)
}

func TestAnEnvironmentHasOneStore(t *testing.T) {
	const store = "spec.eventStore"
	secret := object{"name": "event-store", "key": "url"}
	testAdmission(t, "triangle-evaluation", map[string]admission{
		"the one brought along":   {},
		"one that is there":       {changes: change{store: object{"connectionSecretRef": secret, "caSecretRef": secret}}},
		"none":                    {change{store: nothing{}}, "spec.eventStore: Required value"},
		"neither":                 {change{store: object{}}, "write either embedded or connectionSecretRef"},
		"both":                    {change{store + ".connectionSecretRef": secret}, "write either embedded or connectionSecretRef"},
		"a signer of no use":      {change{store + ".caSecretRef": secret}, "caSecretRef belongs to connectionSecretRef"},
		"a secret without a key":  {change{store: object{"connectionSecretRef": object{"name": "event-store"}}}, "connectionSecretRef.key: Required value"},
		"a secret without a name": {change{store: object{"connectionSecretRef": object{"key": "url"}}}, "connectionSecretRef.name: Required value"},
		"a secret of no name":     {change{store: object{"connectionSecretRef": object{"name": "", "key": "url"}}}, "name in body should be at least 1 chars long"},
		"a secret of no key":      {change{store: object{"connectionSecretRef": object{"name": "event-store", "key": ""}}}, "key in body should be at least 1 chars long"},
		"no size":                 {change{store + ".embedded.size": nothing{}}, "embedded.size: Required value"},
		"a size in words":         {change{store + ".embedded.size": "ten"}, "embedded.size in body should match"},
		"no image":                {change{store + ".embedded.image": nothing{}}, "embedded.image: Required value"},
	})
}

func TestAnEnvironmentHasOneDatabase(t *testing.T) {
	const database = "spec.database"
	secret := object{"name": "read-models", "key": "url"}
	postgres := object{"postgres": object{"urlSecretRef": secret}}
	keys := object{"postgres": object{"urlSecretRef": secret}}
	testAdmission(t, "triangle-evaluation", map[string]admission{
		"none":                  {change{database: nothing{}}, "spec.database: Required value"},
		"neither":               {change{database: object{}}, "write either sqlite or postgres"},
		"both":                  {change{database + ".postgres": postgres["postgres"], "spec.keyRing": keys}, "write either sqlite or postgres"},
		"PostgreSQL":            {changes: change{database: postgres, "spec.keyRing": keys, "spec.sales.replicas": 3}},
		"keys on no server":     {change{database: postgres}, "replicas on PostgreSQL share their keys: set spec.keyRing.postgres"},
		"keys apart":            {changes: change{"spec.keyRing": keys}},
		"no size":               {change{database: object{"sqlite": object{}}}, "sqlite.size: Required value"},
		"a server of no secret": {change{database: object{"postgres": object{}}, "spec.keyRing": keys}, "postgres.urlSecretRef: Required value"},
		"one replica":           {changes: change{"spec.channel.replicas": 1}},
		"two of channel":        {change{"spec.channel.replicas": 2}, oneReplica + ": set replicas to 1"},
		"two of sales":          {change{"spec.sales.replicas": 2}, oneReplica + ": set replicas to 1"},
		"two of marketing":      {change{"spec.marketing.replicas": 2}, oneReplica + ": set replicas to 1"},
		"as many as it takes":   {change{"spec.sales.autoscaling": object{"minReplicas": 1, "maxReplicas": 1}}, oneReplica + ": leave autoscaling out"},
	})
}

func TestAnImageSaysWhichOneItIs(t *testing.T) {
	const image = "spec.channel.image"
	testAdmission(t, "triangle-evaluation", map[string]admission{
		"a tag":                  {changes: change{image: "channel-support:v1.4.0-rc.1"}},
		"a digest":               {changes: change{image: digest("channel-support")}},
		"a tag and a digest":     {changes: change{image: "channel-support:1.4.0@sha256:" + strings.Repeat("0a", 32)}},
		"a port and a tag":       {changes: change{image: "registry:5000/channel-support:1"}},
		"no image":               {change{image: nothing{}}, "spec.channel.image: Required value"},
		"an empty one":           {change{image: ""}, "spec.channel.image in body should be at least 1 chars long"},
		"no tag":                 {change{image: "registry.example.com/channel-support"}, "say which image: name it with a tag or a digest"},
		"a port and no tag":      {change{image: "registry:5000/channel-support"}, "say which image: name it with a tag or a digest"},
		"a digest cut short":     {change{image: "channel-support@sha256:0a0a"}, "say which image: name it with a tag or a digest"},
		"the latest":             {change{image: "channel-support:latest"}, "the tag latest is another image tomorrow"},
		"a space":                {change{image: "channel support:1.4.0"}, "an image's name has no spaces"},
		"a line's end":           {change{image: "channel-support:1.4.0\n"}, "an image's name has no spaces"},
		"an endless one":         {change{image: strings.Repeat("a", 512) + ":1"}, "spec.channel.image: Too long: may not be more than 512"},
		"the latest of a store":  {change{"spec.eventStore.embedded.image": "event-store:latest"}, "the tag latest is another image tomorrow"},
		"a service left out":     {change{"spec.marketing": nothing{}}, "spec.marketing: Required value"},
		"a service that is none": {change{"spec.finance": object{"image": "finance:1"}}, `unknown field "spec.finance"`},
	})
}

func TestAServiceHasReplicasAndSettings(t *testing.T) {
	const sales = "spec.sales"
	env := func(settings ...any) change { return change{sales + ".env": settings} }
	const follows = "this setting follows from the rest of the spec"
	scaled := func(low, high int) change {
		return change{"spec.channel.autoscaling": object{"minReplicas": low, "maxReplicas": high}}
	}
	testAdmission(t, "triangle-production", map[string]admission{
		"the example":             {},
		"a hundred":               {changes: change{sales + ".replicas": 100}},
		"more than a hundred":     {change{sales + ".replicas": 101}, "spec.sales.replicas in body should be less than or equal to 100"},
		"none":                    {change{sales + ".replicas": 0}, "spec.sales.replicas in body should be greater than or equal to 1"},
		"both ways":               {change{sales + ".autoscaling": object{"minReplicas": 1, "maxReplicas": 2}}, "write either replicas or autoscaling"},
		"neither way":             {changes: change{sales + ".replicas": nothing{}}},
		"bounds that meet":        {changes: scaled(3, 3)},
		"bounds that cross":       {scaled(4, 3), "minReplicas is at most maxReplicas"},
		"a bound below one":       {scaled(0, 3), "minReplicas in body should be greater than or equal to 1"},
		"a bound above all":       {scaled(1, 101), "maxReplicas in body should be less than or equal to 100"},
		"one bound":               {change{"spec.channel.autoscaling": object{"minReplicas": 1}}, "maxReplicas: Required value"},
		"the other bound":         {change{"spec.channel.autoscaling": object{"maxReplicas": 1}}, "minReplicas: Required value"},
		"busy beyond all":         {change{"spec.channel.autoscaling.cpuPercent": 101}, "cpuPercent in body should be less than or equal to 100"},
		"idle":                    {change{"spec.channel.autoscaling.cpuPercent": 0}, "cpuPercent in body should be greater than or equal to 1"},
		"a setting":               {changes: env(object{"name": "TRIANGLE_NBA_BUDGET", "value": "150ms"})},
		"an empty setting":        {changes: env(object{"name": "TRIANGLE_NBA_BUDGET", "value": ""})},
		"a setting of nothing":    {env(object{"name": "A"}), "write either value or secretRef"},
		"a setting twice told":    {env(object{"name": "A", "value": "1", "secretRef": object{"name": "a", "key": "b"}}), "write either value or secretRef"},
		"two of one name":         {env(object{"name": "A", "value": "1"}, object{"name": "A", "value": "2"}), "Duplicate value"},
		"a name in small letters": {env(object{"name": "a", "value": "1"}), "env[0].name in body should match"},
		"too long a name":         {env(object{"name": strings.Repeat("A", 129), "value": "1"}), "env[0].name: Too long: may not be more than 128"},
		"too long a value":        {env(object{"name": "A", "value": strings.Repeat("1", 4097)}), "env[0].value: Too long: may not be more than 4096"},
		"where the store is":      {env(object{"name": "TRIANGLE_EVENTSTORE", "value": "esdb://elsewhere"}), follows},
		"where the database is":   {env(object{"name": "TRIANGLE_DATABASE", "value": "x"}), follows},
		"where the keys are":      {env(object{"name": "TRIANGLE_KEYS", "value": "x"}), follows},
		"where REST is served":    {env(object{"name": "TRIANGLE_HTTP_ADDR", "value": ":1"}), follows},
		"where gRPC is served":    {env(object{"name": "TRIANGLE_GRPC_ADDR", "value": ":1"}), follows},
		"as many as may be":       {changes: env(times(64, setting)...)},
		"one more than may be":    {env(times(65, setting)...), "env: Too many: 65: must have at most 64 items"},
	})
}

func setting(i int) any { return object{"name": "S" + strconv.Itoa(i), "value": "1"} }

func TestARolloutAndWhereItIsToldOf(t *testing.T) {
	testAdmission(t, "triangle-production", map[string]admission{
		"a deadline of a day":      {changes: change{"spec.rollout.deadline": "1d"}},
		"a deadline in words":      {change{"spec.rollout.deadline": "soon"}, "spec.rollout.deadline in body should match"},
		"a look of no unit":        {change{"spec.rollout.observe": "60"}, "spec.rollout.observe in body should match"},
		"no errors":                {changes: change{"spec.rollout.maxErrorPercent": "0"}},
		"all errors and more":      {change{"spec.rollout.maxErrorPercent": "101"}, "spec.rollout.maxErrorPercent in body should match"},
		"a hold":                   {changes: change{"spec.rollout.onFailure": "Hold"}},
		"carry on":                 {change{"spec.rollout.onFailure": "Ignore"}, `supported values: "RollBack", "Hold"`},
		"no telemetry":             {changes: change{"spec.telemetry": nothing{}}},
		"telemetry to nowhere":     {change{"spec.telemetry.endpoint": nothing{}}, "spec.telemetry.endpoint: Required value"},
		"a collector of no scheme": {change{"spec.telemetry.endpoint": "collector:4317"}, "spec.telemetry.endpoint in body should match"},
		"a protocol that is none":  {change{"spec.telemetry.protocol": "udp"}, `supported values: "grpc"`},
		"over HTTP":                {change{"spec.telemetry.protocol": "http/protobuf"}, `supported values: "grpc"`},
		"no traces":                {changes: change{"spec.telemetry.tracePercent": "0"}},
		"traces of a fraction":     {change{"spec.telemetry.tracePercent": "1/4"}, "spec.telemetry.tracePercent in body should match"},
		"pulled always":            {changes: change{"spec.pods.imagePullPolicy": "Always"}},
		"pulled at times":          {change{"spec.pods.imagePullPolicy": "Sometimes"}, `supported values: "Always", "IfNotPresent", "Never"`},
		"one pull secret twice":    {change{"spec.pods.imagePullSecrets": list{object{"name": "a"}, object{"name": "a"}}}, "Duplicate value"},
		"tolerations":              {changes: change{"spec.pods.tolerations": list{object{"key": "dedicated", "operator": "Exists"}}}},
		"certificates":             {changes: change{"spec.pods.caSecretRef": object{"name": "ca", "key": "ca.crt"}}},
	})
}

func TestAnEnvironmentKeepsItsStore(t *testing.T) {
	secret := object{"name": "event-store", "key": "url"}
	testChange(t, "triangle-evaluation", map[string]admission{
		"another image":       {changes: change{"spec.eventStore.embedded.image": "event-store:1.5.0"}},
		"another size":        {change{"spec.eventStore.embedded.size": "20Gi"}, "the volume of a store can't change its size here"},
		"the size otherwise":  {change{"spec.eventStore.embedded.size": "10240Mi"}, "the volume of a store can't change its size here"},
		"a class of volumes":  {change{"spec.eventStore.embedded.storageClassName": "fast"}, "the volume of a store can't change its class"},
		"another store":       {change{"spec.eventStore": object{"connectionSecretRef": secret}}, "an environment keeps its store"},
		"another database":    {change{"spec.database": object{"postgres": object{"urlSecretRef": secret}}, "spec.keyRing": object{"postgres": object{"urlSecretRef": secret}}}, "the kind of database can't change"},
		"larger databases":    {change{"spec.database.sqlite.size": "50Gi"}, "the volumes can't change their size here"},
		"databases elsewhere": {change{"spec.database.sqlite.storageClassName": "fast"}, "the volumes can't change their class"},
	})
	testChange(t, "triangle-production", map[string]admission{
		"another secret": {changes: change{"spec.eventStore.connectionSecretRef.name": "other"}},
		"a store of its own": {
			change{"spec.eventStore": object{"embedded": object{"image": "event-store:1", "size": "1Gi"}}}, "an environment keeps its store",
		},
	})
}

// What had a class keeps it.
func TestVolumesKeepTheirClass(t *testing.T) {
	const class = ".storageClassName"
	server := apitest.Start(t)
	c := server.Client(t)
	o := sample(t, "triangle-evaluation", server.Namespace(t))
	change{"spec.eventStore.embedded" + class: "fast", "spec.database.sqlite" + class: "fast"}.apply(t, o)
	if err := c.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for of, refused := range map[string]string{
		"spec.eventStore.embedded": "the volume of a store can't change its class",
		"spec.database.sqlite":     "the volumes can't change their class",
	} {
		for _, value := range []any{"slow", nothing{}} {
			changed := o.DeepCopy()
			change{of + class: value}.apply(t, changed)
			checkVerdict(t, c.Update(t.Context(), changed, client.DryRunAll), refused)
		}
	}
}
