#!/usr/bin/env bash
# Runs a comparison as jobs of a real Slurm, with this machine as controller and node, and compares the
# results with those of one process, byte for byte. One task is cancelled and one is saved before its time
# limit. With --long the limit is Slurm's own, and the node fails once, too. Needs root, for Slurm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/skip.sh
long=${1:-}
export NODEVICE_SELECT=1

[ "$(uname)" = Linux ] && [ "$(id -u)" -eq 0 ] || skip "Slurm" "it needs Linux and root"
if ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
    sh scripts/apt-install.sh slurm-wlm munge || skip "Slurm" "slurm-wlm and munge cannot be installed"
fi

program=${CARGO_TARGET_DIR:-target}/release/lerac
[ -x "$program" ] || cargo build --release
program=$(realpath "$program")
work=$(mktemp -d /tmp/lerac-slurm.XXXXXX)
pids=()

fail() {
    echo "check-slurm: $*" >&2
    for log in "$work"/*.log "$work"/cluster/slurm/*.log; do
        printf '%s:\n%s\n' "$log" "$(tail -n 15 "$log")" >&2
    done
    exit 1
}

finish() {
    scancel --user=root 2>/dev/null || true
    sleep 1
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

# until_true SECONDS WHAT COMMAND...
until_true() {
    local tries=$(($1 * 5)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "waited in vain for $what"
        sleep 0.2
    done
}

start_node() {
    slurmd -D -N "$host" -L "$work/slurmd.log" >>"$work/slurmd.out.log" 2>&1 &
    slurmd_pid=$!
    pids+=($slurmd_pid)
    disown $slurmd_pid
}

is_idle() { sinfo --noheader --format=%T | grep -q '^\(idle\|mixed\|allocated\)$'; }

start_cluster() {
    local port=$((20000 + $$ % 20000))
    host=$(hostname -s)
    mkdir -p "$work/munge" "$work/state" "$work/spool"
    chmod 755 "$work" && chmod 700 "$work/munge"
    head -c 1024 /dev/urandom >"$work/munge/key" && chmod 400 "$work/munge/key"
    munged --foreground --force --key-file="$work/munge/key" --socket="$work/munge.socket" \
        --pid-file="$work/munge/pid" --seed-file="$work/munge/seed" --log-file="$work/munge/log" >"$work/munge.log" 2>&1 &
    pids+=($!)
    cat >"$work/slurm.conf" <<CONF
ClusterName=lerac
SlurmctldHost=$host
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket,cred_expire=10
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmdTimeout=10
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF=$work/slurm.conf
    until_true 20 "munged" munge --socket="$work/munge.socket" --no-input
    slurmctld -D -L "$work/slurmctld.log" >"$work/slurmctld.out.log" 2>&1 &
    pids+=($!)
    start_node
    until_true 60 "the node" is_idle
}

# A task takes some seconds on two cores.
grid=(compare --data shapes --model cnn --methods conventional,lerac,uniform --train-examples 1280 --validation 80
    --batch-size 8 --log-every 7 --checkpoint-every 5 --epochs)
tasks=(conventional-seed0 lerac-seed0 uniform-seed0)
out=$work/cluster

submit() {
    sh "$work/submit.sh" "$@" >"$work/submitted.log"
    job=$(sed -n 's/^tasks: job \([0-9]*\),.*/\1/p' "$work/submitted.log")
    report=$(sed -n 's/.* report: job \([0-9]*\);.*/\1/p' "$work/submitted.log")
}

has_checkpoint() { ls "$out/$1/checkpoints/"*.safetensors; }
state_is() { scontrol show job "$1" | grep -q "JobState=\($2\)"; }
is_finished() { [ -e "$out/$1/summary.json" ]; }

# Asserts that the collected results are those of one process in all but times.
same_results() {
    local task file
    for task in "${tasks[@]}"; do
        for file in config.toml metrics.csv layers.csv predictions.csv model.safetensors; do
            cmp "$work/whole/$task/$file" "$out/$task/$file" || fail "$task/$file is another than that of one process"
        done
    done
    cmp <(sed 's/,[^,]*$//' "$work/whole/results.csv") <(sed 's/,[^,]*$//' "$out/results.csv") ||
        fail "results.csv is another than that of one process, apart from times"
}

cancelled_and_saved() {
    rm -rf "$out"
    "$program" "${grid[@]}" 2 --out "$out" --slurm "$work/submit.sh" --slurm-time 30:00 --slurm-partition all --overwrite
    submit
    # What Slurm sends before the time limit.
    until_true 60 "a checkpoint of task 0" has_checkpoint conventional-seed0
    # It waits for a task that is not requeued.
    timeout 5 scancel --batch --signal=USR1 "${job}_0" || true
    until_true 60 "a checkpoint of task 1" has_checkpoint lerac-seed0
    scancel "${job}_1"
    until_true 60 "the cancelled task" state_is "${job}_1" CANCELLED
    has_checkpoint lerac-seed0 >/dev/null || fail "the cancelled task has no checkpoint"
    "$program" "${grid[@]}" 2 --out "$out" --list | tee "$work/list.log" | grep "lerac seed 0 .* ended early" ||
        fail "the cancelled task has not released its claim: $(cat "$work/list.log")"
    until_true 150 "task 0, which was requeued" is_finished conventional-seed0
    grep "continues after step" "$out/slurm/task-0.log" || fail "task 0 did not continue"
    until_true 60 "the report" state_is "$report" COMPLETED
    grep "1 of 3 tasks are not finished" "$out/slurm/report.log" || fail "the report is not said to be partial"
    submit
    until_true 120 "the second report" state_is "$report" COMPLETED
    grep "continues after step" "$out/slurm/task-1.log" || fail "task 1 did not continue"
    same_results
    echo "check-slurm: one task requeued before its limit and one cancelled: the bytes of one process"
}

kill_node() {
    local claims=("$out"/claims/*-seed0.*) pid
    kill -9 "$slurmd_pid"
    for pid in $(pgrep -f "^slurmstepd: \[$job" || true); do kill -9 "$pid"; done
    for pid in $(sed -n 's/.*"process":\([0-9]*\).*/\1/p' "${claims[@]}"); do kill -9 "$pid"; done
}

node_is_down() { sinfo --noheader --format=%T | grep -q '^down'; }

dead_node_and_limit() {
    rm -rf "$out"
    # Signals may come a minute early, so at any time from the start on.
    "$program" "${grid[@]}" 6 --out "$out" --slurm "$work/submit.sh" --slurm-time 1:00 --slurm-grace 30 --overwrite
    submit
    until_true 60 "a checkpoint of task 0" has_checkpoint conventional-seed0
    kill_node
    until_true 120 "a node that is down" node_is_down
    start_node
    until_true 120 "the node" is_idle
    until_true 900 "the report" state_is "$report" COMPLETED
    grep -l "interrupted" "$out"/slurm/task-*.log || fail "the time limit ended no task"
    grep -q "which has ended\|ended without finishing" "$out"/slurm/task-*.log || fail "no task of the dead node was continued"
    same_results
    echo "check-slurm: a node that failed, and Slurm's time limit: the bytes of one process"
}

start_cluster
"$program" "${grid[@]}" 2 --out "$work/whole" --quiet
cancelled_and_saved
if [ "$long" = --long ]; then
    rm -rf "$work/whole"
    "$program" "${grid[@]}" 6 --out "$work/whole" --quiet
    dead_node_and_limit
fi
echo "check-slurm: passed"
