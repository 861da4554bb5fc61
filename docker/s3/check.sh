#!/bin/sh
# Check that the server accepts requests. The service `buckets` has checked writing with the keys.
set -eu
if command -v weed >/dev/null; then path=healthz; else path=minio/health/ready; fi
if command -v wget >/dev/null; then
    exec wget -q -O /dev/null "http://127.0.0.1:8333/$path"
fi
exec curl -fsS -o /dev/null "http://127.0.0.1:8333/$path"
