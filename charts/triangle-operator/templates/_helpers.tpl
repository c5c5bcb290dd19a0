{{/* What objects are called: the release's name. */}}
{{- define "triangle-operator.name" -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "triangle-operator.serviceAccount" -}}
{{- if or .Values.serviceAccount.name (not .Values.serviceAccount.create) -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- else -}}
{{- include "triangle-operator.name" . -}}
{{- end -}}
{{- end -}}

{{/* The labels that the pods are found by. They never change. */}}
{{- define "triangle-operator.selector" -}}
app.kubernetes.io/name: triangle-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "triangle-operator.labels" -}}
{{ include "triangle-operator.selector" . }}
app.kubernetes.io/part-of: triangle
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "triangle-operator.image" -}}
{{- with .Values.image -}}
{{- printf "%s/%s" (trimSuffix "/" .registry) .repository -}}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* The namespaces that are looked after, as JSON. */}}
{{- define "triangle-operator.namespaces" -}}
{{- .Values.watch.namespaces | default (list .Release.Namespace) | toJson -}}
{{- end -}}

{{/* The manifests of a file that is a copy of the operator's own, as JSON. */}}
{{- define "triangle-operator.manifests" -}}
{{- $all := list -}}
{{- range regexSplit "(?m)^---$" . -1 -}}
{{- with fromYaml . }}{{ $all = append $all . }}{{ end -}}
{{- end -}}
{{- $all | toJson -}}
{{- end -}}

{{/* The rules of the operator's Role: all, or of who leads and what is told of it, which is where the operator runs. */}}
{{- define "triangle-operator.rules" -}}
{{- $rules := list -}}
{{- $here := .here -}}
{{- range include "triangle-operator.manifests" (.root.Files.Get "files/rbac/operator.yaml") | fromJsonArray -}}
{{- if eq .kind "Role" -}}
{{- range .rules -}}
{{- $leads := has "coordination.k8s.io" .apiGroups -}}
{{- $tells := has "events" .resources -}}
{{- if or (and $here (or $leads $tells)) (and (not $here) (not $leads)) -}}
{{- $rules = append $rules . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end -}}

{{/* Peers and ports of a rule of a NetworkPolicy. */}}
{{- define "triangle-operator.to" -}}
{{- with .to }}to: {{- toYaml . | nindent 2 }}
{{ end -}}
ports:
{{- range .ports }}
- {port: {{ int . }}, protocol: {{ $.protocol | default "TCP" }}}
{{- end }}
{{- end -}}

{{/* What no schema can say. */}}
{{- define "triangle-operator.check" -}}
{{- if not .Values.image.registry -}}
{{- fail "image.registry is missing: say where the images are, such as --set image.registry=registry.example.com/triangle" -}}
{{- end -}}
{{- if and .Values.watch.allNamespaces .Values.watch.namespaces -}}
{{- fail "watch.allNamespaces and watch.namespaces are both set: write either one; to look after all namespaces leave watch.namespaces empty" -}}
{{- end -}}
{{- if eq .Values.image.tag "latest" -}}
{{- fail "image.tag is latest, which is another image tomorrow: name a version, or set image.digest" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: name the ServiceAccount that is there, or have one made" -}}
{{- end -}}
{{- end -}}
