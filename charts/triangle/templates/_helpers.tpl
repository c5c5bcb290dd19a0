{{/* What the Triangle is called. */}}
{{- define "triangle.name" -}}
{{- .Values.name | default .Release.Name -}}
{{- end -}}

{{/* The labels of all that is the environment's: the operator gives its pods the same. */}}
{{- define "triangle.selector" -}}
app.kubernetes.io/instance: {{ include "triangle.name" . }}
app.kubernetes.io/part-of: triangle
{{- end -}}

{{- define "triangle.labels" -}}
app.kubernetes.io/name: triangle
{{ include "triangle.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An image's whole name: {root, image}. */}}
{{- define "triangle.image" -}}
{{- printf "%s/%s" (trimSuffix "/" .root.Values.image.registry) .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* The ports of the services, REST and gRPC. */}}
{{- define "triangle.ports" -}}
{channel: {http: 8081, grpc: 9081}, sales: {http: 8082, grpc: 9082}, marketing: {http: 8083, grpc: 9083}}
{{- end -}}

{{/* Where the event store is, as the variable of a container. */}}
{{- define "triangle.store" -}}
{{- with .Values.eventStore.existingSecret }}{{ if .name -}}
name: TRIANGLE_EVENTSTORE
valueFrom: {secretKeyRef: {name: {{ .name | quote }}, key: {{ .key | quote }}}}
{{- else -}}
name: TRIANGLE_EVENTSTORE
value: esdb://{{ include "triangle.name" $ }}-event-store.{{ $.Release.Namespace }}.svc:2113?tls=false
{{- end }}{{ end -}}
{{- end -}}

{{/* Peers and ports of a rule of a NetworkPolicy: {to, ports, protocol}. */}}
{{- define "triangle.to" -}}
{{- with .to }}to: {{- toYaml . | nindent 2 }}
{{ end -}}
ports:
{{- range .ports }}
- {port: {{ int . }}, protocol: {{ $.protocol | default "TCP" }}}
{{- end }}
{{- end -}}
