#!/bin/sh
# Find a browser for the tests of the page, or get one: Debian's, or else Playwright's own.
set -eu

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null && exit 0
done
if grep -qs '^ID=debian' /etc/os-release && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null
else
    playwright install --with-deps chromium
fi
