#!/usr/bin/env bash
# Runs procps's own DejaGnu tests of pmap on smapskit. Takes Debian's source package of
# procps, dejagnu, and a C compiler; says so and skips where the machine has none of them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

skip() { echo "skipped procps's tests of pmap: $1"; exit 0; }
command -v runtest >/dev/null || skip "dejagnu is not installed"
command -v gcc >/dev/null || skip "gcc is not installed"
command -v apt-get >/dev/null || skip "no Debian packages here"
python3 -c 'import smapskit' || skip "smapskit is not installed for python3"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
# The machine's own sources of packages, asked for source packages.
mkdir "$work/sources"
for list in /etc/apt/sources.list.d/*.sources; do
  [ -e "$list" ] && sed 's/^Types:.*/Types: deb-src/' "$list" >"$work/sources/$(basename "$list")"
done
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  [ -e "$list" ] && sed -n 's/^deb /deb-src /p' "$list" >"$work/sources/$(basename "$list").list"
done
apt=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/sources"
  -o "Dir::State::lists=$work/lists" -o APT::Sandbox::User=root -qq)
mkdir -p "$work/lists/partial"
cd "$work"
apt-get "${apt[@]}" update >/dev/null || skip "no package sources"
apt-get "${apt[@]}" source --download-only procps >/dev/null || skip "no source package"
tar xf procps_*.orig.tar.xz
cd procps-*/

gcc -D_GNU_SOURCE -DPACKAGE=\"x\" -Ilocal -o src/tests/test_shm src/tests/test_shm.c
install "$here/pmap" src/pmap
# Its first test asks for pmap's own usage line; ours has captures in it.
sed -i '/^set test "pmap with no arguments"/,/^expect_pass/d' testsuite/pmap.test/pmap.exp
cd testsuite
touch site.exp
runtest --tool pmap --srcdir . --objdir "$PWD" | tee "$work/log"
# Its helper is killed before it can take its segment away.
for segment in $(sed -n 's/^SHMID: \([0-9a-f]*\).*/\1/p' pmap.log); do
  ipcrm -m "$((16#$segment))" 2>/dev/null || true
done
grep -q '^# of expected passes' "$work/log"
! grep -qE '^(FAIL|ERROR|UNRESOLVED)|^# of unexpected failures' "$work/log"
