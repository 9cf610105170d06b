{{- /* Values that are right one by one, and together make a proxy that does not start or that nobody reaches.
Numbers are converted before they are compared: those of a file are of another type than those of --set. */ -}}
{{- define "proxy.check" -}}
{{- $url := include "proxy.url" . -}}
{{- $keyed := "(?i)^https?://([^/]*[.])?(openai[.]com|openai[.]azure[.]com|openrouter[.]ai)(:[0-9]*)?(/|$)" -}}
{{- if and (regexMatch $keyed (trimAll " \"'" $url)) (not .Values.existingSecret.name) -}}
{{- fail "existingSecret.name is not set, and the backend that settings.OPENAI_API_BASE_URL names wants a key" -}}
{{- end -}}
{{- if and (eq (toString .Values.settings.REQUIRE_AUTH) "true") (not .Values.clientKeys.name) -}}
{{- fail "settings.REQUIRE_AUTH is true and clientKeys.name is not set; give the keys" -}}
{{- end -}}
{{- with .Values.settings -}}
{{- if gt (float64 (.DRAIN_DELAY | default 0)) (include "proxy.drainTimeout" $ | float64) -}}
{{- fail "settings.DRAIN_TIMEOUT is shorter than settings.DRAIN_DELAY, which it holds" -}}
{{- end -}}
{{- with .METRICS_PORT -}}
{{- if eq (toString $.Values.settings.METRICS_ENABLED) "false" -}}
{{- fail "settings.METRICS_PORT is set and settings.METRICS_ENABLED is false; give one" -}}
{{- end -}}
{{- if eq (int .) 11434 -}}
{{- fail "settings.METRICS_PORT is the proxy's own port; unset it, or give another than 11434" -}}
{{- end -}}
{{- if eq (int .) (int $.Values.service.port) -}}
{{- fail "settings.METRICS_PORT is service.port, and a Service has each port once; give another" -}}
{{- end -}}
{{- end -}}
{{- $host := .PROXY_HOST | default "" | trimAll " \"'" | trimAll "[]" -}}
{{- if regexMatch "(?i)^(localhost|(::ffff:)?127[.][0-9.]+|[0:]*:0{0,3}1)$" $host -}}
{{- fail "settings.PROXY_HOST is an address that only the pod itself reaches; unset it" -}}
{{- end -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if and .enabled (gt (int (.minReplicas | default 1)) (int .maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- end -}}
