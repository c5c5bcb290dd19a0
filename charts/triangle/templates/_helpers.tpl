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

{{/* Whether there are certificates to trust besides; "" when there are none. */}}
{{- define "triangle.trusts" -}}
{{- or .Values.eventStore.ca.existingSecret.name .Values.pods.ca.existingSecret.name -}}
{{- end -}}

{{/* Where a container finds them: its variable, its mount, and the volume. */}}
{{- define "triangle.trust.env" -}}
{name: SSL_CERT_DIR, value: "/etc/ssl/certs:/etc/triangle/trust"}
{{- end -}}

{{- define "triangle.trust.mount" -}}
{name: trust, mountPath: /etc/triangle/trust, readOnly: true}
{{- end -}}

{{- define "triangle.trust.volume" -}}
name: trust
projected:
  sources:
  {{- range $file, $ca := dict "event-store-ca.crt" .Values.eventStore.ca "pods-ca.crt" .Values.pods.ca }}
  {{- with $ca.existingSecret }}
  {{- if .name }}
  - secret: {name: {{ .name | quote }}, items: [{key: {{ .key | quote }}, path: {{ $file }}}]}
  {{- end }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* What pods of the chart's own have in common: those of the tests, and of backups. */}}
{{- define "triangle.pod" -}}
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 0 }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "priorityClassName" }}
{{- with get $.Values.pods $field }}
{{ $field }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What their containers may not do. */}}
{{- define "triangle.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
