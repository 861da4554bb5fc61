#!/bin/sh
# Start SeaweedFS or MinIO, whichever the image has; the keys are in the environment of this process only.
set -eu
keys=/run/secrets-of-churn/s3
if command -v weed >/dev/null; then
    AWS_ACCESS_KEY_ID=$(cat $keys/s3_access_key)
    AWS_SECRET_ACCESS_KEY=$(cat $keys/s3_secret_key)
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    exec weed mini -dir=/data -ip=127.0.0.1 -ip.bind=0.0.0.0 -s3.port=8333
fi
export MINIO_ROOT_USER_FILE=$keys/s3_access_key MINIO_ROOT_PASSWORD_FILE=$keys/s3_secret_key
exec minio server /data --address :8333
