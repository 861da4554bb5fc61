#!/bin/sh
# Start an executor as Spark's own image does: from the variables that Spark sets in its pods.
set -eu
# Java reads options from a file; a quoted line is one option.
options=/tmp/java.options
env | sed -n 's/^SPARK_JAVA_OPT_[0-9]*=//p' | sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&"/' >"$options"
jars=$(python -c 'import pyspark; print(pyspark.__path__[0])')/jars
java=$(command -v java)
exec "$java" "@$options" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
    -cp "${SPARK_CLASSPATH:-}:$jars/*" \
    org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
    --driver-url "$SPARK_DRIVER_URL" \
    --executor-id "$SPARK_EXECUTOR_ID" \
    --cores "$SPARK_EXECUTOR_CORES" \
    --app-id "$SPARK_APPLICATION_ID" \
    --hostname "$SPARK_EXECUTOR_POD_IP" \
    --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" \
    --podName "$SPARK_EXECUTOR_POD_NAME"
