package kubernetes

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"

	"github.com/triangle-suite/triangle/tools/packages"
)

// database has PostgreSQL serve on the node, outside of the cluster, and makes it known
// in the namespace, as a platform team does: by a Service without a selector, and by
// the Secrets that the profile for production names. It returns the port that is
// behind the Service.
func (w *world) database() (port string) {
	w.Helper()
	_, address := w.node()
	at := w.postgres(address)
	w.apply(fmt.Sprintf(databaseService, address, at.Port()))
	port = at.Port()
	at.Host = "postgres." + w.namespace + ".svc:5432"
	for _, secret := range []string{"read-models", "key-ring"} {
		w.kubectl("create", "secret", "generic", secret, "--from-literal=url="+at.String())
	}
	return port
}

const databaseService = `
apiVersion: v1
kind: Service
metadata: {name: postgres}
spec:
  ports: [{name: postgres, port: 5432}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: postgres, labels: {kubernetes.io/service-name: postgres}}
addressType: IPv4
endpoints: [{addresses: [%s]}]
ports: [{name: postgres, port: %s}]
`

// postgres starts a server that ends with the test, and returns where its database is.
// Where the programs are missing they are installed: who may run a cluster may do that.
func (w *world) postgres(address string) *url.URL {
	w.Helper()
	at := w.startPostgres(address)
	if at == "" {
		if err := packages.Install(w.Context(), os.Stderr, packages.Need{Package: "postgresql", File: "pg_ctlcluster"}); err != nil {
			w.Fatalf("PostgreSQL is not installed: %v", err)
		}
		at = w.startPostgres(address)
	}
	parsed, err := url.Parse(at)
	if err != nil || parsed.Host == "" {
		w.Fatalf("PostgreSQL is at %q (%v)", at, err)
	}
	return parsed
}

func (w *world) startPostgres(address string) string {
	w.Helper()
	cmd := exec.Command(the.pgtest, "-listen", address, "-from", "10.0.0.0/8", "triangle")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		w.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = in.Close() // which is how it is told to end
		if err := cmd.Wait(); err != nil {
			w.Errorf("PostgreSQL ended with %v", err)
		}
	})
	lines := bufio.NewScanner(out)
	lines.Scan()
	return strings.TrimSpace(lines.Text())
}

// apply applies manifests in the namespace.
func (w *world) apply(manifests string) {
	w.Helper()
	if _, err := the.cluster.Kubectl(w.Context(), strings.NewReader(manifests), "--namespace", w.namespace, "apply", "-f", "-"); err != nil {
		w.Fatal(err)
	}
}
