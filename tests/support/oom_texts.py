"""OOM reports as other kernels print them, and the texts of real ones in tests/fixtures/oom."""

from __future__ import annotations

from support.paths import FIXTURES

FOLDER = FIXTURES / "oom"
V1 = (FOLDER / "v1-6.18.txt").read_text()
"""One report of a v1 group: the page-out experiment on Linux 6.18."""
V2 = (FOLDER / "v2-6.12.txt").read_text()
"""Five reports of Linux 6.12: two groups, memory.oom.group, a full tmpfs, the machine twice."""
KMSG = (FOLDER / "v2-6.1.kmsg.txt").read_text()
"""The same five of Linux 6.1, as /dev/kmsg returns them."""

MEMCG_3_10 = """\
java invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=0
java cpuset=docker-ab.scope mems_allowed=0-1
CPU: 3 PID: 4711 Comm: java Not tainted 3.10.0-1160.el7.x86_64 #1
Call Trace:
 [<ffffffff8a7813f1>] dump_stack+0x19/0x1b
Task in /docker/ab/worker killed as a result of limit of /docker/ab
memory: usage 524288kB, limit 524288kB, failcnt 4021
memory+swap: usage 524288kB, limit 9007199254740988kB, failcnt 0
kmem: usage 0kB, limit 9007199254740988kB, failcnt 0
Memory cgroup stats for /docker/ab: cache:4KB rss:1024KB rss_huge:0KB mapped_file:0KB swap:0KB \
inactive_anon:0KB active_anon:1024KB inactive_file:4KB active_file:0KB unevictable:0KB
Memory cgroup stats for /docker/ab/worker: cache:1000KB rss:522260KB rss_huge:491520KB \
mapped_file:8KB swap:0KB inactive_anon:0KB active_anon:522260KB inactive_file:900KB \
active_file:100KB unevictable:0KB
[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name
[ 4700]     0  4700      288      127       5        0             0 sh
[ 4711]  1000  4711   900000   130600     300       10             0 java
Memory cgroup out of memory: Kill process 4711 (java) score 999 or sacrifice child
Killed process 4711 (java), UID 1000, total-vm:3600000kB, anon-rss:522400kB, file-rss:0kB, \
shmem-rss:0kB
"""

GLOBAL_3_10 = """\
mysqld invoked oom-killer: gfp_mask=0x201da, order=0, oom_score_adj=0
mysqld cpuset=/ mems_allowed=0
CPU: 0 PID: 900 Comm: mysqld Not tainted 3.10.0 #1
Mem-Info:
Node 0 DMA per-cpu:
CPU    0: hi:    0, btch:   1 usd:   0
active_anon:235000 inactive_anon:2000 isolated_anon:0
 active_file:50 inactive_file:60 isolated_file:0
 unevictable:0 dirty:0 writeback:0 unstable:0
 free:12000 slab_reclaimable:3000 slab_unreclaimable:4000
 mapped:500 shmem:1000 pagetables:2000 bounce:0
 free_cma:0
Node 0 DMA free:15908kB min:260kB low:324kB high:388kB active_anon:0kB inactive_anon:0kB
lowmem_reserve[]: 0 1000 1000 1000
Node 0 DMA: 1*4kB (U) 0*8kB 0*16kB 1*32kB (U) = 15908kB
1500 total pagecache pages
400 pages in swap cache
Swap cache stats: add 1000, delete 600, find 10/20
Free swap  = 0kB
Total swap = 2097148kB
262144 pages RAM
0 pages HighMem/MovableOnly
6144 pages reserved
[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name
[  500]     0   500    20000      100      40      200         -1000 sshd
[  900]    27   900   600000   230000     900   500000             0 mysqld
Out of memory: Kill process 900 (mysqld) score 801 or sacrifice child
Killed process 900 (mysqld) total-vm:2400000kB, anon-rss:920000kB, file-rss:0kB
"""

MEMCG_4_14 = """\
stress-ng-vm invoked oom-killer: gfp_mask=0x14000c0(GFP_KERNEL), nodemask=(null),  order=0, \
oom_score_adj=968
stress-ng-vm cpuset=4f6d mems_allowed=0
CPU: 1 PID: 777 Comm: stress-ng-vm Not tainted 4.14.0 #1
Task in /kubepods/burstable/pod11111111-2222-3333-4444-555555555555/4f6d killed as a result of \
limit of /kubepods/burstable/pod11111111-2222-3333-4444-555555555555
memory: usage 102400kB, limit 102400kB, failcnt 77
memory+swap: usage 102400kB, limit 9007199254740988kB, failcnt 0
kmem: usage 2048kB, limit 9007199254740988kB, failcnt 0
Memory cgroup stats for /kubepods/burstable/pod11111111-2222-3333-4444-555555555555/4f6d: \
cache:40960KB rss:59392KB rss_huge:0KB shmem:40960KB mapped_file:0KB dirty:0KB writeback:0KB \
inactive_anon:0KB active_anon:100352KB inactive_file:0KB active_file:0KB unevictable:0KB
[ pid ]   uid  tgid total_vm      rss nr_ptes nr_pmds nr_puds swapents oom_score_adj name
[  770]     0   770      256        1       4       2       1        0          -998 pause
[  777]     0   777    30000    15000      40       3       1        0           968 stress-ng-vm
Memory cgroup out of memory: Kill process 777 (stress-ng-vm) score 1500 or sacrifice child
Killed process 777 (stress-ng-vm) total-vm:120000kB, anon-rss:59392kB, file-rss:608kB, \
shmem-rss:0kB
oom_reaper: reaped process 777 (stress-ng-vm), now anon-rss:0kB, file-rss:0kB, shmem-rss:4kB
"""

V1_5_4 = """\
app invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
CPU: 1 PID: 31 Comm: app Not tainted 5.4.0 #1
memory: usage 20480kB, limit 20480kB, failcnt 5
swap: usage 0kB, limit 0kB, failcnt 0
Memory cgroup stats for /app:
anon 19922944
file 0
kernel_stack 36864
slab 458752
sock 0
shmem 0
file_mapped 0
Tasks state (memory values in pages):
[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
[     31]     0    31    10000     5000    81920        0             0 app
oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/app,\
task_memcg=/app,task=app,pid=31,uid=0
Memory cgroup out of memory: Killed process 31 (app) total-vm:40000kB, anon-rss:19456kB, \
file-rss:544kB, shmem-rss:0kB, UID:0 pgtables:81920kB oom_score_adj:0
"""

ARM_64K_PAGES = """\
app invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=4, oom_score_adj=0
CPU: 1 PID: 31 Comm: app Not tainted 6.6.0 #1
Mem-Info:
active_anon:5 inactive_anon:1000 isolated_anon:0
 active_file:1 inactive_file:1 isolated_file:0
 unevictable:3 dirty:0 writeback:0
 slab_reclaimable:10 slab_unreclaimable:20
 mapped:2 shmem:5 pagetables:1
 sec_pagetables:0 bounce:0
 kernel_misc_reclaimable:0
 free:64 free_pcp:0 free_cma:0
Node 0 DMA free:4096kB boost:0kB min:22528kB low:28160kB high:33792kB active_anon:0kB
Node 0 DMA: 64*64kB (U) 0*128kB = 4096kB
Node 0 hugepages_total=2 hugepages_free=2 hugepages_surp=0 hugepages_size=2048kB
Node 0 hugepages_total=1 hugepages_free=0 hugepages_surp=0 hugepages_size=524288kB
7 total pagecache pages
0 pages in swap cache
Free swap  = 0kB
Total swap = 0kB
16384 pages RAM
0 pages HighMem/MovableOnly
384 pages reserved
2 pages cma reserved
0 pages hwpoisoned
Unreclaimable slab info:
Name                      Used          Total
dentry                  1200KB       1280KB
kmalloc-64               640KB        704KB
Tasks state (memory values in pages):
[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
[     31]     0    31     2000      900   131072        0             0 app
oom-kill:constraint=CONSTRAINT_CPUSET,nodemask=(null),cpuset=a,mems_allowed=0,global_oom,\
task_memcg=/a,task=app,pid=31,uid=0
Out of memory: Killed process 31 (app) total-vm:128000kB, anon-rss:57600kB, file-rss:0kB, \
shmem-rss:0kB, UID:0 pgtables:128kB oom_score_adj:0
"""

BY_KERNEL = {
    "3.10 memcg": MEMCG_3_10,
    "3.10 global": GLOBAL_3_10,
    "4.14 memcg": MEMCG_4_14,
    "5.4 memcg": V1_5_4,
    "6.6 arm64": ARM_64K_PAGES,
    "6.18 v1": V1,
}
"""Texts of one report each."""
