{{/* What no schema can say: each with what to write instead. */}}
{{- define "triangle.check" -}}
{{- $v := .Values -}}
{{- $name := include "triangle.name" . -}}
{{- if gt (len $name) 35 -}}
{{- fail (printf "the Triangle would be called %s: give it a name of at most 35 characters in the value name, as the names of its objects begin with it" $name) -}}
{{- end -}}
{{- if not $v.image.registry -}}
{{- fail "image.registry is missing: say where the images are, such as --set image.registry=registry.example.com/triangle" -}}
{{- end -}}
{{- include "triangle.check.store" . -}}
{{- include "triangle.check.database" . -}}
{{- range $service := list "channel" "sales" "marketing" -}}
{{- include "triangle.check.service" (dict "root" $ "name" $service "spec" (get $v $service)) -}}
{{- end -}}
{{- include "triangle.check.flows" . -}}
{{- include "triangle.check.images" . -}}
{{- end -}}

{{- define "triangle.check.store" -}}
{{- $s := .Values.eventStore -}}
{{- include "triangle.check.secret" (dict "root" . "path" "eventStore.existingSecret" "secret" $s.existingSecret "scheme" "^esdb(\\+discover)?://" "example" "esdb+discover://…") -}}
{{- include "triangle.check.secret" (dict "root" . "path" "eventStore.ca.existingSecret" "secret" $s.ca.existingSecret "scheme" "-----BEGIN CERTIFICATE-----" "example" "-----BEGIN CERTIFICATE-----") -}}
{{- include "triangle.check.secret" (dict "root" . "path" "pods.ca.existingSecret" "secret" .Values.pods.ca.existingSecret "scheme" "-----BEGIN CERTIFICATE-----" "example" "-----BEGIN CERTIFICATE-----") -}}
{{- if and $s.embedded.enabled $s.existingSecret.name -}}
{{- fail (printf "eventStore.embedded.enabled is true and eventStore.existingSecret.name is %s: an environment has one store; set eventStore.embedded.enabled=false to use the cluster of that Secret, or leave the Secret out" $s.existingSecret.name) -}}
{{- end -}}
{{- if not (or $s.embedded.enabled $s.existingSecret.name) -}}
{{- fail "eventStore says of no store: name the Secret with the connection string of a cluster in eventStore.existingSecret.name (values-production.yaml does), or set eventStore.embedded.enabled=true to try Triangle with the store that it brings along (values-evaluation.yaml does)" -}}
{{- end -}}
{{- if and $s.embedded.enabled $s.ca.existingSecret.name -}}
{{- fail "eventStore.ca.existingSecret is set, but the embedded store speaks no TLS: leave it out, or name a cluster in eventStore.existingSecret" -}}
{{- end -}}
{{- end -}}

{{- define "triangle.check.database" -}}
{{- $d := .Values.database -}}
{{- $keys := .Values.keyRing.postgres.existingSecret -}}
{{- include "triangle.check.secret" (dict "root" . "path" "database.postgres.existingSecret" "secret" $d.postgres.existingSecret "scheme" "^postgres(ql)?://" "example" "postgres://…") -}}
{{- include "triangle.check.secret" (dict "root" . "path" "keyRing.postgres.existingSecret" "secret" $keys "scheme" "^postgres(ql)?://" "example" "postgres://…") -}}
{{- if and $d.sqlite.enabled $d.postgres.existingSecret.name -}}
{{- fail (printf "database.sqlite.enabled is true and database.postgres.existingSecret.name is %s: write either one; set database.sqlite.enabled=false to use PostgreSQL" $d.postgres.existingSecret.name) -}}
{{- end -}}
{{- if not (or $d.sqlite.enabled $d.postgres.existingSecret.name) -}}
{{- fail "database says of none: name the Secret with the URL of a PostgreSQL in database.postgres.existingSecret.name, or set database.sqlite.enabled=true for a file of each service, with one replica" -}}
{{- end -}}
{{- if and $d.postgres.existingSecret.name (not $keys.name) -}}
{{- fail "keyRing.postgres.existingSecret.name is missing: replicas on PostgreSQL share their keys; name the Secret with the URL of the server that keeps them" -}}
{{- end -}}
{{- end -}}

{{/* A Secret is named, and not written down; where it can be looked at, it holds what it should. */}}
{{- define "triangle.check.secret" -}}
{{- if .secret.name -}}
{{- if contains "://" .secret.name -}}
{{- fail (printf "%s.name is a connection string, which would be kept in clear with the release: put it into a Secret (kubectl create secret generic NAME --from-literal=%s='%s') and write the Secret's name" .path .secret.key .example) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" .secret.name) -}}
{{- fail (printf "%s.name is %q, which is no name of a Secret: write lower-case letters, digits, dashes and dots" .path .secret.name) -}}
{{- end -}}
{{- $there := lookup "v1" "Secret" .root.Release.Namespace .secret.name -}}
{{- if $there -}}
{{- $key := .secret.key -}}
{{- $data := $there.data | default dict -}}
{{- if not (hasKey $data $key) -}}
{{- fail (printf "%s: the Secret %s has no key %s, but %s: write one of them in %s.key" .path .secret.name $key (keys $data | sortAlpha | join ", " | default "none at all") .path) -}}
{{- end -}}
{{- if not (regexMatch .scheme (get $data $key | b64dec)) -}}
{{- fail (printf "%s: the key %s of Secret %s does not hold what it should, which begins with %s" .path $key .secret.name .example) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "triangle.check.service" -}}
{{- $n := .name -}}
{{- $s := .spec -}}
{{- if .root.Values.database.sqlite.enabled -}}
{{- if $s.autoscaling.enabled -}}
{{- fail (printf "%s.autoscaling.enabled is true, but SQLite is a file of one replica: set database.postgres.existingSecret.name and database.sqlite.enabled=false, or %s.autoscaling.enabled=false" $n $n) -}}
{{- end -}}
{{- if gt (int $s.replicas) 1 -}}
{{- fail (printf "%s.replicas is %d, but SQLite is a file of one replica: set database.postgres.existingSecret.name and database.sqlite.enabled=false, or %s.replicas=1" $n (int $s.replicas) $n) -}}
{{- end -}}
{{- end -}}
{{- if and $s.autoscaling.enabled (gt (int $s.replicas) 1) -}}
{{- fail (printf "%s.replicas is %d and %s.autoscaling.enabled is true: write either one; the least that the cluster chooses is %s.autoscaling.minReplicas" $n (int $s.replicas) $n $n) -}}
{{- end -}}
{{- if gt (int $s.autoscaling.minReplicas) (int $s.autoscaling.maxReplicas) -}}
{{- fail (printf "%s.autoscaling.minReplicas is %d, more than maxReplicas, which is %d" $n (int $s.autoscaling.minReplicas) (int $s.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- range $s.env -}}
{{- if eq (hasKey . "value") (hasKey . "existingSecret") -}}
{{- fail (printf "%s.env: %s needs either a value or an existingSecret: {name: …, key: …}" $n .name) -}}
{{- end -}}
{{- if has .name (list "TRIANGLE_EVENTSTORE" "TRIANGLE_DATABASE" "TRIANGLE_KEYS" "TRIANGLE_HTTP_ADDR" "TRIANGLE_GRPC_ADDR" "TRIANGLE_IMAGE") -}}
{{- fail (printf "%s.env: %s follows from eventStore, database, keyRing and image: leave it out" $n .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "triangle.check.flows" -}}
{{- $seen := dict -}}
{{- range .Values.flows -}}
{{- if hasKey $seen .flow -}}
{{- fail (printf "flows: %s is there twice; put all its steps into one" .flow) -}}
{{- end -}}
{{- $_ := set $seen .flow true -}}
{{- end -}}
{{- end -}}

{{- define "triangle.check.images" -}}
{{- range list .Values.image .Values.eventStore.embedded.image .Values.channel.image .Values.sales.image .Values.marketing.image .Values.test.image -}}
{{- if eq .tag "latest" -}}
{{- fail "the tag latest is another image tomorrow: name a version, or a digest" -}}
{{- end -}}
{{- end -}}
{{- end -}}
