#!/bin/sh
# Whether it takes requests. That it keeps what it is given, by the keys, the service `buckets` has seen.
set -eu
if command -v weed >/dev/null; then path=healthz; else path=minio/health/ready; fi
if command -v wget >/dev/null; then
    exec wget -q -O /dev/null "http://127.0.0.1:8333/$path"
fi
exec curl -fsS -o /dev/null "http://127.0.0.1:8333/$path"
