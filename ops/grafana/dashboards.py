"""The dashboards, from which ops/dashboards makes the JSON beside this file. Every query is run in ops/test.

A panel is (title, unit, description, [(query, legend)]); with a threshold, what is above it is red.
"""

import pathlib
import sys

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models

RATE = "[$__rate_interval]"


def rate(metric, by=""):
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{RATE}))"


def quantile(metric, by="", share=0.99):
    return f"histogram_quantile({share}, sum by ({by + ', ' if by else ''}le) (rate({metric}_bucket{RATE})))"


CLUSTER = [
    ("Numbers", [
        ("Nodes ready", "short", "Of three. With two people go on, and neither may stop.",
         [("sum(tricord_server_ready_flag)", "ready")]),
        ("Alerts", "short", "That fire now.", [('count(ALERTS{alertstate="firing"}) or vector(0)', "firing")]),
        ("Releases", "short", "More than one: an upgrade is under way.", [("count(count by (version) (tricord_build_info))", "releases")]),
        ("Log entries", "short", "Committed so far.", [("max(tricord_raft_committed_index)", "entries")]),
    ]),
    ("Graphs", [
        ("Role", "short", "1 leader, 2 follower, 3 candidate, 4 learner.", [("tricord_raft_role_number", "{{slot}}")]),
        ("Leaders elected", "short", "Each election stops sending for about a second.",
         [("sum(increase(tricord_raft_elections_total[1h]))", "in an hour")]),
        ("Behind the leader", "short", "Entries, as the leader last heard.",
         [("max by (slot) (tricord_raft_lag_entries)", "{{slot}}")]),
        ("Applied, not yet flushed", "short", "Entries that a restart would apply again.",
         [("tricord_raft_applied_index - tricord_raft_durable_applied_index", "{{slot}}")]),
        ("Commands waiting", "percentunit", "Of what may wait at the leader; at 1 they are refused.",
         [("tricord_raft_proposals_waiting / tricord_raft_proposals_max", "{{slot}}")]),
        ("Commands refused", "ops", "By reason.",
         [(f"sum by (reason) (rate(tricord_raft_proposals_refused_total{RATE})) or vector(0)", "{{reason}}")]),
        ("Clocks", "s", "What a node's clock shows minus cluster time; above half a second is an alert.",
         [("max by (slot) (tricord_raft_clock_offset_seconds)", "{{slot}}")]),
        ("Memory", "bytes", "Resident.", [('process_resident_memory_bytes{job="tricord"}', "{{slot}}")]),
        ("Processors", "short", "Cores in use.", [(f'rate(process_cpu_seconds_total{{job="tricord"}}{RATE})', "{{slot}}")]),
        ("Open files", "percentunit", "Of what the process may open.",
         [('process_open_fds{job="tricord"} / process_max_fds{job="tricord"}', "{{slot}}")]),
    ]),
]

MESSAGING = [
    ("Numbers", [
        ("Sent a second", "ops", "Messages acknowledged: on the disks of two nodes.",
         [('sum(rate(tricord_client_sends_total{result="sent"}[$__rate_interval]))', "sent")]),
        ("Sessions", "short", "That have a stream open.", [("sum(tricord_client_sessions)", "sessions")]),
        ("Streams", "short", "Open on all nodes.", [("sum(tricord_client_streams)", "streams")]),
        ("99 of 100 sent within", "s", "As the node measures it, network to the client excluded.",
         [(quantile('tricord_client_call_seconds', 'method').replace('_bucket[', '_bucket{method="SendMessage"}['), "{{method}}")]),
    ]),
    ("Graphs", [
        ("Sends", "ops", "By how they ended.", [(rate("tricord_client_sends_total", "result"), "{{result}}")]),
        ("Time to answer", "s", "99 of 100 calls, by method.", [(quantile("tricord_client_call_seconds", "method"), "{{method}}")]),
        ("Time to deliver", "s", "From a change being applied to its being written to a stream.",
         [(quantile("tricord_client_delivery_seconds", share=0.5), "half"), (quantile("tricord_client_delivery_seconds"), "99 of 100")]),
        ("Deliveries", "ops", "Events written to streams.", [(rate("tricord_client_deliveries_total", "slot"), "{{slot}}")]),
        ("Calls", "ops", "By code; what is not ok is worth a look.", [(rate("tricord_client_calls_total", "code"), "{{code}}")]),
        ("Slow readers cut off", "ops", "They resume by themselves and lose nothing.",
         [(rate("tricord_client_slow_readers_total", "slot"), "{{slot}}")]),
        ("Presence changes", "ops", "As applied.", [(rate("tricord_client_presence_changes_total", "slot"), "{{slot}}")]),
        ("Queues", "percentunit", "Of what may wait or be open on a node, the fullest node's; at 1 more is refused.",
         [("max by (queue) (tricord_client_queue_entries / tricord_client_queue_max_entries)", "{{queue}}")]),
        ("Calls waiting at the leader", "percentunit", "Of how many it lets in now, so that none waits long.",
         [("tricord_raft_calls_waiting / (tricord_raft_calls_max > 0)", "{{slot}}")]),
        ("Messages a batch", "short", "Half and 99 of 100 of the batches that went through the log.",
         [(quantile("tricord_raft_batch_envelopes", share=0.5), "half"), (quantile("tricord_raft_batch_envelopes"), "99 of 100")]),
        ("Time through consensus", "s", "From a command waiting to its being applied at the leader.",
         [(quantile("tricord_raft_proposal_seconds"), "99 of 100")]),
    ]),
]

STORAGE = [
    ("Numbers", [
        ("Least room", "percentunit", "Of the fullest disk, free.", [("min(tricord_raft_disk_free_bytes / tricord_raft_disk_size_bytes)", "free")]),
        ("Newest backup", "s", "Its age.", [("time() - (max(tricord_backup_last_timestamp_seconds) > 0)", "age")]),
        ("Backups failed", "short", "Since the nodes were started.", [("sum(tricord_backup_failures_total)", "failed")]),
        ("Full in", "d", "Days, at the rate of the last day; 3650: none fills.",
         [("clamp_max(min(tricord:disk_full:days) or vector(3650), 3650)", "days")]),
        ("Newest snapshot", "bytes", "Largest of the three.", [("max(tricord_state_snapshot_bytes)", "bytes")]),
    ]),
    ("Graphs", [
        ("Time to make a batch safe", "s", "99 of 100; above 50 ms is an alert.", [(quantile("tricord_log_fsync_seconds", "slot"), "{{slot}}")]),
        ("Batches", "ops", "Made safe.", [(rate("tricord_log_fsync_seconds_count", "slot"), "{{slot}}")]),
        ("Waiting for the disk", "percentunit", "Of what may wait for the log's writer.",
         [("tricord_log_queue_bytes / tricord_log_queue_max_bytes", "{{slot}}")]),
        ("Disk free", "bytes", "Where the data is.", [("tricord_raft_disk_free_bytes", "{{slot}}")]),
        ("Log on disk", "bytes", "Tables and write-ahead logs.", [("tricord_log_sst_bytes + tricord_log_wal_bytes", "{{slot}}")]),
        ("State on disk", "bytes", "Tables.", [("tricord_state_sst_bytes", "{{slot}}")]),
        ("Not yet in tables", "bytes", "In memory.", [("tricord_state_memtable_bytes + tricord_log_memtable_bytes", "{{slot}}")]),
        ("Waiting to be compacted", "bytes", "Growing without end: the disk is too slow.",
         [("tricord_state_compaction_pending_bytes + tricord_log_compaction_pending_bytes", "{{slot}}")]),
        ("Writers held up", "percentunit", "Share of the time that the store made them wait for its disk.",
         [("rate(tricord_log_stalled_seconds_total[$__rate_interval])", "{{slot}} log"),
          ("rate(tricord_state_stalled_seconds_total[$__rate_interval])", "{{slot}} state")]),
        ("Writes slowed or stopped", "short", "Stopped: 1 for the log, 1 for the state. Slowed: to so many bytes a second; 0: not at all.",
         [("tricord_log_write_stopped_flag + tricord_state_write_stopped_flag", "{{slot}} stopped"),
          ("tricord_log_write_delayed_bytes_per_second + tricord_state_write_delayed_bytes_per_second", "{{slot}} slowed to")]),
        ("Background work", "short", "Flushes and compactions under way.",
         [("tricord_log_flushes_running + tricord_state_flushes_running", "{{slot}} flushes"),
          ("tricord_log_compactions_running + tricord_state_compactions_running", "{{slot}} compactions")]),
        ("Read from disk", "ops", "Blocks that were not found in memory.",
         [("rate(tricord_log_block_cache_misses_total[$__rate_interval]) + rate(tricord_state_block_cache_misses_total[$__rate_interval])", "{{slot}}")]),
        ("Found in memory", "ops", "Blocks that did not have to be read.",
         [("rate(tricord_log_block_cache_hits_total[$__rate_interval]) + rate(tricord_state_block_cache_hits_total[$__rate_interval])", "{{slot}}")]),
        ("Blocks in memory", "bytes", "Of the tables of log and state.", [("tricord_store_block_cache_bytes", "{{slot}}")]),
        ("Age of the newest snapshot", "s", "None yet: 0.",
         [("(time() - tricord_state_snapshot_timestamp_seconds) * (tricord_state_snapshot_timestamp_seconds > bool 0)", "{{slot}}")]),
        ("Snapshots", "short", "Made in an hour, and taken in from another node, by how it ended.",
         [("sum by (slot, result) (increase(tricord_state_snapshots_total[1h]))", "{{slot}} {{result}}"),
          ("sum by (slot, result) (increase(tricord_raft_snapshots_received_total[1h]))", "{{slot}} received: {{result}}")]),
        ("Time to apply", "s", "99 of 100 apply calls.", [(quantile("tricord_state_apply_seconds", "slot"), "{{slot}}")]),
        ("Bytes written by applying", "Bps", "To the state.", [(rate("tricord_state_apply_bytes_sum", "slot"), "{{slot}}")]),
    ]),
]

SECURITY = [
    ("Numbers", [
        ("First certificate to end", "s", "Time left.", [("min(tricord_server_certificate_expiry_timestamp_seconds) - time()", "left")]),
        ("Not yet under a sealed head", "short", "Records of the audit log.",
         [("max(tricord_audit_records) - max(tricord_audit_sealed_records)", "records")]),
        ("Emergency access", "short", "In force now.", [("max(tricord_emergencies_in_force)", "in force")]),
        ("To be reviewed", "short", "Emergency access that no auditor has signed off.", [("max(tricord_emergencies_unreviewed)", "to review")]),
    ]),
    ("Graphs", [
        ("Sign-ins refused", "ops", "More than one a second is an alert.",
         [(rate("tricord_client_sign_ins_refused_total", "slot"), "{{slot}}")]),
        ("Calls refused", "ops", "Not signed in, or not permitted.",
         [(f'sum by (code) (rate(tricord_client_calls_total{{code=~"unauthenticated|permission_denied"}}{RATE})) or vector(0)', "{{code}}")]),
        ("Records of the audit log", "short", "There are, and under a head that two nodes signed.",
         [("max(tricord_audit_records)", "records"), ("max(tricord_audit_sealed_records)", "sealed")]),
        ("Age of the newest sealed head", "s", "While records come in it is a few seconds.",
         [("time() - max(tricord_audit_sealed_head_timestamp_seconds)", "age")]),
        ("Fetches and refusals recorded", "ops", "By node.", [(rate("tricord_audit_observations_total", "slot"), "{{slot}}")]),
        ("Renewals failed", "short", "1: a node cannot renew its certificates.", [("tricord_server_certificate_renewal_failed_flag", "{{slot}}")]),
        ("Recovery kits that wait", "short", "For a second administrator.", [("max(tricord_recovery_kits_pending)", "waiting")]),
        ("Kept without a majority", "percentunit", "Of the records a node may keep by itself; at 1 nothing more is shown.",
         [("tricord_audit_spool_bytes / tricord_audit_spool_max_bytes", "{{slot}}")]),
        ("Certificates", "s", "Time left, by node and purpose.",
         [("tricord_server_certificate_expiry_timestamp_seconds - time()", "{{slot}} {{certificate}}")]),
    ]),
]

DASHBOARDS = [
    ("cluster", "Cluster", CLUSTER),
    ("messaging", "Messaging", MESSAGING),
    ("storage", "Storage", STORAGE),
    ("security", "Security", SECURITY),
]
WIDTH = 24


def query(ref, expression, legend):
    return prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(ref)


def panel(kind, title, unit, description, queries):
    if kind == "Numbers":
        made = stat.Panel().span(6).height(4).color_mode(kinds.BigValueColorMode.NONE)
    else:
        made = timeseries.Panel().span(12).height(8).legend(
            common.VizLegendOptions().display_mode(kinds.LegendDisplayMode.LIST).show_legend(True)
            .placement(kinds.LegendPlacement.BOTTOM)
        )
    made = made.title(title).description(description).unit(unit).datasource(models.DataSourceRef(type_val="prometheus", uid="$source"))
    for index, (expression, legend) in enumerate(queries):
        made = made.with_target(query(chr(ord("A") + index), expression, legend))
    return made


def build(name, title, rows):
    made = (
        dashboard.Dashboard(f"Tricord: {title}").uid(f"tricord-{name}").tags(["tricord"]).refresh("10s").time("now-1h", "now")
        .timezone("browser").readonly()
        .with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    for kind, panels in rows:
        for one in panels:
            made = made.with_panel(panel(kind, *one))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1])
    for name, title, rows in DASHBOARDS:
        (out / f"{name}.json").write_text(build(name, title, rows))
