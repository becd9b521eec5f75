#!/usr/bin/env python3
"""Settles the same two files with Holdfast and with DuckDB, each in a process of its own, and compares them with the truth.

    python3 bench.py BENCH_LEDGER_BINARY DIRECTORY [ROWS]

DuckDB does a full outer join twice: on the network reference, keeping what differs, which misses what is doubled (join); and with
duplicates counted, which comes to the truth as Holdfast does (exact). `sort | join` is left out: it was measured slower than DuckDB.
"""
import os
import subprocess
import sys
import time

JOIN = """
create view l as select network_reference ref, kind, amount_minor, currency from read_csv('{d}/ledger.csv');
create view n as select "Modification Reference" ref, case "Type" when 'Settled' then 'capture' else 'refund' end kind,
  cast(round((coalesce("Gross Credit (GC)", 0) - coalesce("Gross Debit (GC)", 0)) * case "Gross Currency" when 'JPY' then 1 else 100 end) as bigint) amount_minor,
  "Gross Currency" currency
  from read_csv('{d}/settlement.csv', types={{'Gross Credit (GC)': 'decimal(18,2)', 'Gross Debit (GC)': 'decimal(18,2)'}})
  where "Type" in ('Settled', 'Refunded');
"""
QUERIES = {
    "join": """select count(*) from l full outer join n on l.ref = n.ref
        where l.ref is null or n.ref is null or (l.kind, l.amount_minor, l.currency) is distinct from (n.kind, n.amount_minor, n.currency)""",
    "exact": """with a as (select ref, kind, amount_minor, currency, count(*) c from l group by all),
        b as (select ref, kind, amount_minor, currency, count(*) c from n group by all)
        select count(distinct ref) from a full outer join b using (ref, kind, amount_minor, currency) where a.c is distinct from b.c""",
}


def duckdb_process(directory, which):
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"set temp_directory='{directory}/duckdb'")
    connection.execute(JOIN.format(d=directory))
    print(connection.execute(QUERIES[which]).fetchone()[0], "differ; DuckDB", duckdb.__version__)


def measured(name, command):
    begun = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - begun
    cpu = usage.ru_utime + usage.ru_stime
    if status != 0:
        sys.exit(f"{name} failed: {said}")
    print(f"{name:14} wall {wall:6.2f} s   CPU {cpu:6.2f} s   peak {usage.ru_maxrss / 1024:7.1f} MiB   {said.splitlines()[0]}", flush=True)
    return cpu, usage.ru_maxrss / 1024, said


def main():
    if sys.argv[1] == "--duckdb":
        return duckdb_process(sys.argv[2], sys.argv[3])
    binary, directory = sys.argv[1:3]
    rows = sys.argv[3] if len(sys.argv) > 3 else "5000000"
    try:
        import duckdb  # noqa: F401
    except ImportError:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "duckdb"], check=True)
    os.makedirs(directory, exist_ok=True)
    stamp = os.path.join(directory, f"rows-{rows}")
    if not os.path.exists(stamp):
        subprocess.run([binary, "generate", directory, rows], check=True)
        open(stamp, "w").close()
    truth = open(os.path.join(directory, "truth.txt")).read()
    print(f"{rows} rows each, {len(truth.splitlines())} breaks, {os.cpu_count()} processors")
    results = {}
    for method in ("sort", "sketch"):
        results[method] = measured(method, [binary, method, directory])
        same = open(os.path.join(directory, f"found-{method}.txt")).read() == truth
        print(f"{'':14} {'equals the truth' if same else 'DIFFERS FROM THE TRUTH'}")
        if not same:
            sys.exit(1)
    for which in QUERIES:
        results[which] = measured(f"duckdb {which}", [sys.executable, __file__, "--duckdb", directory, which])
    # The bar is the query that comes to the same answer. The plain join does not see what is doubled on one side.
    exact, join = results["exact"], results["join"]
    if not exact[2].startswith(f"{len(truth.splitlines())} differ"):
        sys.exit("DuckDB's exact query does not come to the truth")
    kept_all = True
    for method, part, memory in (("sort", 3, 512), ("sketch", 2, 64)):
        cpu, peak, _ = results[method]
        kept = cpu <= exact[0] / part and peak <= memory
        kept_all &= kept
        print(
            f"{method}: {cpu / exact[0]:.2f} of DuckDB's CPU (at most 1/{part}; {cpu / join[0]:.2f} of the plain join's), "
            f"{peak:.0f} MiB (at most {memory}): {'kept' if kept else 'NOT KEPT'}"
        )
    sys.exit(0 if kept_all else 1)


main()
