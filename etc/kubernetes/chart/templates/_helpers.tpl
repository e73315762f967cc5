{{- define "exabgp-metallb.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "exabgp-metallb.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "exabgp-metallb.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "exabgp-metallb.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Labels that tell our objects from all others. */}}
{{- define "exabgp-metallb.labels" -}}
app.kubernetes.io/name: {{ include "exabgp-metallb.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The name of an account; takes the chart's context and a part: controller or speaker. */}}
{{- define "exabgp-metallb.account" -}}
{{- $values := (get .context.Values .part).serviceAccount -}}
{{- $own := printf "%s-%s" (include "exabgp-metallb.fullname" .context) .part -}}
{{- $values.create | ternary $own "default" | default $values.name | default $own -}}
{{- end }}

{{/* Image and pull policy; takes the chart's context and a part. */}}
{{- define "exabgp-metallb.image" -}}
{{- $image := .context.Values.image -}}
{{- $own := (get .context.Values .part).image -}}
{{- $tag := $own.tag | default $image.tag | default .context.Chart.AppVersion -}}
image: {{ printf "%s:%s" ($own.repository | default $image.repository) $tag }}
imagePullPolicy: {{ $own.pullPolicy | default $image.pullPolicy }}
{{- end }}

{{- define "exabgp-metallb.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001  # so that the token can be read
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "exabgp-metallb.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The token, as a volume: only the containers that mount it have one. */}}
{{- define "exabgp-metallb.token" -}}
- name: token
  projected:
    defaultMode: 0440
    sources:
    - serviceAccountToken:
        path: token
        expirationSeconds: 3607
    - configMap:
        name: kube-root-ca.crt
        items:
        - key: ca.crt
          path: ca.crt
    - downwardAPI:
        items:
        - path: namespace
          fieldRef:
            fieldPath: metadata.namespace
{{- end }}

{{- define "exabgp-metallb.tokenMount" -}}
- name: token
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}

{{- define "exabgp-metallb.fieldEnv" -}}
- name: {{ .name }}
  valueFrom:
    fieldRef:
      fieldPath: {{ .path }}
{{- end }}

{{/* What says which objects are ours. */}}
{{- define "exabgp-metallb.clusterEnv" -}}
{{ include "exabgp-metallb.fieldEnv" (dict "name" "EXABGP_METALLB_NAMESPACE" "path" "metadata.namespace") }}
{{- with .Values.loadBalancerClass }}
- name: EXABGP_METALLB_LB_CLASS
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Settings that are set only where they are not the program's own default. */}}
{{- define "exabgp-metallb.logEnv" -}}
{{- if ne .logLevel "info" }}
- name: EXABGP_METALLB_LOG_LEVEL
  value: {{ .logLevel }}
{{- end }}
{{- if ne (.logFormat | default "text") "text" }}
- name: EXABGP_METALLB_LOG_FORMAT
  value: {{ .logFormat }}
{{- end }}
{{- end }}

{{/* Probes; takes the name of the port. Startup is for agents alone. */}}
{{- define "exabgp-metallb.probes" -}}
livenessProbe:  # its loop turns
  httpGet:
    path: /healthz
    port: {{ . }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:  # it has read everything; the speaker: ExaBGP lives and has the whole table
  httpGet:
    path: /readyz
    port: {{ . }}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{- define "exabgp-metallb.startup" -}}
startupProbe:
  httpGet:
    path: /healthz
    port: {{ . }}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
{{- end }}
