package charts_test

import (
	"strings"
	"testing"
)

// What can't be meant is refused, with a sentence that says what to write instead. Where
// it is the schema that refuses, it says where, and what may be there.
func TestWhatIsRefused(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		evaluation, production := profile("evaluation"), profile("production")
		plain := []string{chart("triangle")}
		operator := []string{chart("triangle-operator"), "--set", registry}
		for name, tc := range map[string]struct {
			of   []string
			set  string
			want string
		}{
			"no registry":                      {plain, "eventStore.embedded.enabled=true", "image.registry is missing: say where the images are, such as --set image.registry="},
			"no store":                         {plain, registry, "eventStore says of no store: name the Secret with the connection string of a cluster in eventStore.existingSecret.name"},
			"no database":                      {plain, registry + ",eventStore.embedded.enabled=true", "database says of none: name the Secret"},
			"two stores":                       {evaluation, "eventStore.existingSecret.name=store", "an environment has one store; set eventStore.embedded.enabled=false to use the cluster of that Secret"},
			"two databases":                    {evaluation, "database.postgres.existingSecret.name=db", "write either one; set database.sqlite.enabled=false to use PostgreSQL"},
			"a CA of the embedded store":       {evaluation, "eventStore.ca.existingSecret.name=ca", "the embedded store speaks no TLS: leave it out"},
			"SQLite in three replicas":         {evaluation, "sales.replicas=3", "sales.replicas is 3, but SQLite is a file of one replica: set database.postgres.existingSecret.name and database.sqlite.enabled=false, or sales.replicas=1"},
			"SQLite with autoscaling":          {evaluation, "channel.autoscaling.enabled=true", "channel.autoscaling.enabled is true, but SQLite is a file of one replica"},
			"PostgreSQL without keys":          {production, "keyRing.postgres.existingSecret.name=", "keyRing.postgres.existingSecret.name is missing: replicas on PostgreSQL share their keys"},
			"replicas and autoscaling":         {production, "channel.replicas=3", "channel.replicas is 3 and channel.autoscaling.enabled is true: write either one"},
			"more at least than at most":       {production, "channel.autoscaling.minReplicas=9", "channel.autoscaling.minReplicas is 9, more than maxReplicas, which is 8"},
			"a password in the values":         {production, "database.postgres.existingSecret.name=postgres://me:hush@db/x", "is a connection string, which would be kept in clear with the release: put it into a Secret (kubectl create secret generic NAME --from-literal=url='postgres://…') and write the Secret's name"},
			"a name that no Secret has":        {production, "keyRing.postgres.existingSecret.name=Key_Ring", `"Key_Ring", which is no name of a Secret: write lower-case letters`},
			"a setting without a value":        {production, "sales.env[0].name=TRIANGLE_SMTP", "sales.env: TRIANGLE_SMTP needs either a value or an existingSecret"},
			"a setting that follows":           {production, "sales.env[0].name=TRIANGLE_KEYS,sales.env[0].value=x", "sales.env: TRIANGLE_KEYS follows from eventStore, database, keyRing and image: leave it out"},
			"a flow twice":                     {production, "flows[1].flow=request-status,flows[1].migration.steps[0].name=a,flows[1].migration.steps[0].cadence.mode=RealTime", "flows: request-status is there twice"},
			"the tag latest":                   {evaluation, "marketing.image.tag=latest", "the tag latest is another image tomorrow: name a version, or a digest"},
			"a name that is too long":          {evaluation, "name=an-environment-with-a-name-without-end", "give it a name of at most 35 characters"},
			"a value that there is not":        {evaluation, "replicaCount=3", "at '/replicaCount': value must be 'left out, as there are only backup, channel, database, eventStore, "},
			"a value that there is not within": {evaluation, "channel.replica=3", "at '/channel/replica': value must be 'left out, as there are only autoscaling, env, image, replicas, resources'"},
			"an URL where a Secret should be":  {production, "database.postgres.url=postgres://me:hush@db/x", "at '/database/postgres/url': value must be 'left out, as there are only existingSecret'"},
			"a number that is text":            {production, "sales.replicas=many", "got string, want integer"},
			"no replicas":                      {production, "sales.replicas=0", "minimum: got 0, want 1"},
			"a digest that is none":            {evaluation, "channel.image.digest=sha256:abc", "digest"},
			"a flow that there is not":         {evaluation, "flows[0].flow=gossip,flows[0].migration.steps[0].name=a,flows[0].migration.steps[0].cadence.mode=RealTime", "'contacts'"},
			"a step that says too much":        {evaluation, "flows[0].flow=contacts,flows[0].migration.steps[0].name=a,flows[0].migration.steps[0].cadence.evry=day", "value must be 'left out, as there are only cron, mode, timeZone'"},
			"a port that is none":              {production, "networkPolicies.store.ports[0]=70000", "at '/networkPolicies/store/ports/0': maximum"},
			"a size that is none":              {evaluation, "database.sqlite.size=much", "size"},

			"the operator: no registry":            {[]string{chart("triangle-operator")}, "replicas=1", "image.registry is missing"},
			"the operator: everywhere and here":    {operator, "watch.allNamespaces=true,watch.namespaces[0]=shop", "watch.allNamespaces and watch.namespaces are both set: write either one"},
			"the operator: nobody to run as":       {operator, "serviceAccount.create=false", "name the ServiceAccount that is there, or have one made"},
			"the operator: the tag latest":         {operator, "image.tag=latest", "name a version, or set image.digest"},
			"the operator: no such value":          {operator, "leaderElection=false", "at '/leaderElection': value must be 'left out, as there are only admission, "},
			"the operator: a level there is not":   {operator, "logLevel=loud", "'debug'"},
			"the operator: a namespace of no name": {operator, "watch.namespaces[0]=", "namespaces"},
			"the operator: a collector of no URL":  {operator, "telemetry.endpoint=collector:4317", "telemetry/endpoint"},
		} {
			t.Run(name, func(t *testing.T) {
				out, err := h.run(append([]string{"template", "shop", "--set", tc.set}, tc.of...)...)
				if err == nil || !strings.Contains(out, tc.want) {
					t.Errorf("it ends with %v, want %q in\n%s", err, tc.want, out)
				}
				if strings.Contains(out, "hush") {
					t.Errorf("it tells a password:\n%s", out)
				}
			})
		}
	})
}
