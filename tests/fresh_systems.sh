#!/usr/bin/env bash
# Run the README's two commands on minimal Debian systems, as root and as an ordinary user.
#
#   tests/fresh_systems.sh [-k FOLDER] [SUITE ...]    bookworm, trixie and sid by default
#
# Each system is made by debootstrap with git and python3-venv only, and gets a clone of what
# is committed. Mirror, pip configuration and certificates are those of this machine. All runs
# in mount and process namespaces, so that nothing stays mounted or running however this ends;
# the systems are removed, or kept in and taken from FOLDER with -k.
#
# Status: 0, or 1 if a command failed. A machine that cannot make such systems is noted and is
# no failure; neither is sid if its archive is unusable today.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/.." && pwd)

cannot() { echo "README not tried on fresh systems: $1"; exit 0; }

keep=
if [ "${1-}" = -k ]; then
  keep=$(realpath -m "$2")
  shift 2
fi
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie sid)
[ "$(id -u)" = 0 ] || cannot "debootstrap requires root"
command -v debootstrap >/dev/null || cannot "debootstrap is not installed"
unshare --mount --pid --fork --mount-proc true 2>/dev/null || cannot "no namespaces can be made"
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' | awk '$1 == "Debian" {print $2; exit}')
[ -n "$mirror" ] || cannot "apt has no mirror of Debian"

main_command=$(grep -F -- '-m smapskit $$' "$checkout/README.md")
test_command=$(grep -F -- '--group test && pytest' "$checkout/README.md")
work=$(mktemp -d)
systems=${keep:-$work}

try_all() { # SUITE ...; two at a time, for two processors
  local status=0
  printf '%s\n' "$@" | xargs -P 2 -I SUITE bash -c 'try_to_make SUITE' || status=1
  cd "$work"
  printf '%s\n' *.root *.tester | grep -v '^\*' |
    xargs -P 2 -I RUN bash -c 'run=RUN; try_commands "${run%.*}" "${run##*.}"' || status=1
  return $status
}

try_to_make() { # SUITE
  if make_system "$1" >"$work/$1.log" 2>&1; then
    touch "$work/$1.root" "$work/$1.tester"
    return
  fi
  echo "$1 could not be made: $(tail -n 1 "$work/$1.log")"
  [ "$1" = sid ]
}

make_system() { # SUITE
  local root=$systems/$1 user home
  if [ ! -e "$root/made" ]; then
    mkdir -p "$root"
    debootstrap --variant=minbase --include=git,python3-venv "$1" "$root" "$mirror" || return 1
    chroot "$root" useradd --create-home --shell /bin/bash tester || return 1
    touch "$root/made"
  fi
  for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt /etc/pip.conf /etc/xdg/pip; do
    copy "$file" "$root$file"
  done
  for user in root tester; do
    home=$root$(home_of "$1" "$user")
    rm -rf "$home/smapskit"
    git clone -q "$checkout" "$home/smapskit" || return 1
    copy "${XDG_CONFIG_HOME:-$HOME/.config}/pip" "$home/.config/pip"
    chroot "$root" chown -R "$user:$user" "${home#"$root"}" || return 1
    chmod 755 "$home" # tests that become another user import from here
  done
}

copy() { # FROM TO, if it is there
  [ -e "$1" ] || return 0
  mkdir -p "$(dirname "$2")"
  cp -RLT "$1" "$2"
}

home_of() { chroot "$systems/$1" getent passwd "$2" | cut -d: -f6; } # SUITE USER

try_commands() { # SUITE USER
  local status=0
  try_command "$1" "$2" main "$main_command" || status=1
  try_command "$1" "$2" tests "$test_command" || status=1
  return $status
}

try_command() { # SUITE USER NAME COMMAND
  local log=$work/$1-$2-$3.log begin=$SECONDS status=0 last
  unshare --mount --pid --fork --kill-child bash -c 'run_inside "$@"' bash "$1" "$2" "$4" \
    >"$log" 2>&1 </dev/null || status=$?
  last=$(tail -n 1 "$log")
  case "$status $3 $last" in
    "0 main total kB"* | "0 tests "*" passed"*) ;;
    *) status=1 ;;
  esac
  printf '%-9s %-14s %-7s %-6s %3d s  %s\n' "$1" "$(chroot "$systems/$1" python3 --version)" \
    "$2" "$3" $((SECONDS - begin)) "$last"
  [ "$status" = 0 ] || tail -n 60 "$log"
  return $status
}

run_inside() { # SUITE USER COMMAND
  local root=$systems/$1 home settings=() name value
  home=$(home_of "$1" "$2")
  mount --bind "$root" "$root" # tests that make mount namespaces require a root that is a mount
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  while IFS='=' read -r name value; do
    case "$name" in PIP_* | *_proxy | *_PROXY | SSL_CERT_FILE) settings+=("$name=$value") ;; esac
  done < <(env)
  # No exec: process 1 is this shell, which reaps what the tests leave.
  chroot --userspec="$2:$2" "$root" env -i "${settings[@]}" HOME="$home" USER="$2" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    bash -c "cd ~/smapskit && $3"
}

export -f try_all try_to_make make_system try_commands copy home_of try_command run_inside
export checkout mirror main_command test_command work systems
end() {
  kill -KILL "$namespaces" 2>/dev/null || true # which ends all that runs in them
  wait || true
  rm -rf --one-file-system "$work"
}
unshare --mount --pid --fork --kill-child --mount-proc bash -c 'try_all "$@"' bash "${suites[@]}" &
namespaces=$!
trap end EXIT
trap 'exit 143' INT TERM
wait "$namespaces" && status=0 || status=1
exit $status
