{{- define "proxy.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Names are quoted wherever they stand: `123` and `true` are names, too. */ -}}
{{- define "proxy.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- /* Without what says that Helm made it, for Helm adds that itself, and deploy/kubernetes holds the same objects. */ -}}
{{- define "proxy.labels" -}}
{{ include "proxy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{- define "proxy.serviceAccount" -}}
{{- default (ternary (include "proxy.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "proxy.image" -}}
{{- with .Values.image -}}
{{- .repository -}}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "proxy.url" -}}
{{- required "settings.OPENAI_API_BASE_URL is not set; give the URL of the backend" .Values.settings.OPENAI_API_BASE_URL -}}
{{- end -}}

{{- define "proxy.drainTimeout" -}}
{{- kindIs "invalid" .Values.settings.DRAIN_TIMEOUT | ternary 60 .Values.settings.DRAIN_TIMEOUT -}}
{{- end -}}

{{- /* The ports of the backend as a list: those that are given, or that of its URL. */ -}}
{{- define "proxy.backendPorts" -}}
{{- if .Values.networkPolicy.backendPorts -}}
{{- toJson .Values.networkPolicy.backendPorts -}}
{{- else -}}
{{- $url := urlParse (include "proxy.url" .) -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "80" "443" (eq $url.scheme "http")) -}}
[{{ $port }}]
{{- end -}}
{{- end -}}
