{{- define "churn.labels" -}}
app.kubernetes.io/name: churn
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "churn.image" -}}
image: {{ printf "%s:%s" .Values.image.repository .Values.image.tag | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- define "churn.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "churn.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "churn.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end }}

{{/* Copies a reader's secrets into memory, with mode 0600: libpq refuses a password file that a group can
read, which a mounted Secret of another user than root has to be. Arguments: context, reader, image. */}}
{{- define "churn.secretsInit" -}}
- name: secrets
{{- if .image }}
  image: {{ .image }}
{{- else }}
{{ include "churn.image" .context | indent 2 }}
{{- end }}
  command: [sh, -c, "umask 077 && cp -L /mounted/* /run/secrets-of-churn/{{ .folder | default "churn" }}/"]
  securityContext:
    readOnlyRootFilesystem: true
{{ include "churn.containerSecurity" . | indent 4 }}
  resources:
    requests: {cpu: 10m, memory: 32Mi}
    limits: {memory: 32Mi}
  volumeMounts:
    - {name: mounted-secrets, mountPath: /mounted, readOnly: true}
    - {name: secrets, mountPath: /run/secrets-of-churn/{{ .folder | default "churn" }}}
{{- end }}

{{- define "churn.secretsVolumes" -}}
- name: mounted-secrets
  secret: {secretName: {{ .context.Values.secretPrefix }}{{ .reader }}, defaultMode: 0440}
- name: secrets
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- end }}

{{- define "churn.storageClass" -}}
{{- if . }}
storageClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Settings of the pods that run the whole pipeline: the driver and Airflow. */}}
{{- define "churn.environment" -}}
envFrom:
  - configMapRef: {name: churn-settings}
env:
{{- if .Values.notifySecret }}
  - {name: CHURN_NOTIFY_FILE, value: /run/notify/notify}
{{- end }}
{{- end }}

{{- define "churn.volumeMounts" -}}
- {name: home, mountPath: /var/lib/churn}
- {name: secrets, mountPath: /run/secrets-of-churn/churn, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.notifySecret }}
- {name: notify, mountPath: /run/notify, readOnly: true}
{{- end }}
{{- end }}

{{- define "churn.volumes" -}}
- name: home
  persistentVolumeClaim: {claimName: home}
- name: tmp
  emptyDir: {}
{{- if .Values.notifySecret }}
- name: notify
  secret: {secretName: {{ .Values.notifySecret }}, defaultMode: 0440}
{{- end }}
{{- end }}
