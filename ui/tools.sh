# Sourced in ui/: fetches the tools that package-lock.json names, unless they are there, and puts them first. The node among them is
# new enough for the others; Debian 12's own is not, and serves npm only.
[[ node_modules/.package-lock.json -nt package-lock.json ]] || npm ci --no-audit --no-fund
PATH="$PWD/node_modules/.bin:$PATH"
