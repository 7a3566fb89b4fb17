"""Checks OCSF 1.5.0 documents against the published field tables.

For each object: its attributes with their types; types in capitals are required. Only the objects of our
Detection Findings are listed.
"""

from __future__ import annotations

from typing import Any

TABLES: dict[str, str] = {
    "detection_finding": """
        ACTIVITY_ID:int CATEGORY_UID:int CLASS_UID:int TYPE_UID:int SEVERITY_ID:int TIME:int
        METADATA:metadata FINDING_INFO:finding_info activity_name:str category_name:str class_name:str
        type_name:str severity:str status_id:int status:str status_code:str status_detail:str message:str
        comment:str count:int duration:int start_time:int end_time:int timezone_offset:int raw_data:str
        observables:[observable] anomaly_analyses:[anomaly_analysis] remediation:remediation
        unmapped:dict""",
    "remediation": "DESC:str kb_articles:[str] references:[str]",
    "metadata": """
        VERSION:str PRODUCT:product uid:str correlation_uid:str sequence:int event_code:str labels:[str]
        log_name:str logged_time:int original_time:str processed_time:int profiles:[str] tenant_uid:str""",
    "product": "name:str uid:str vendor_name:str version:str feature:dict lang:str path:str",
    "finding_info": """
        UID:str title:str desc:str types:[str] analytic:analytic created_time:int modified_time:int
        first_seen_time:int last_seen_time:int data_sources:[str] src_url:str product:product uid_alt:str""",
    "analytic": "TYPE_ID:int type:str name:str uid:str category:str desc:str version:str",
    "observable": "TYPE_ID:int type:str name:str value:str",
    "anomaly_analysis": "ANALYSIS_TARGETS:[analysis_target] ANOMALIES:[anomaly] baselines:[anomaly]",
    "analysis_target": "NAME:str type:str",
    "anomaly": """
        OBSERVATION_PARAMETER:str OBSERVATIONS:[observation] observation_type:str observed_pattern:str""",
    "observation": "VALUE:str count:int",
}
ENUMS: dict[tuple[str, str], set[int]] = {
    ("detection_finding", "activity_id"): {0, 1, 2, 3, 99},
    ("detection_finding", "category_uid"): {2},
    ("detection_finding", "class_uid"): {2004},
    ("detection_finding", "severity_id"): {*range(7), 99},
    ("detection_finding", "status_id"): {*range(7), 99},
    ("analytic", "type_id"): {*range(12), 99},
    ("observable", "type_id"): {*range(47), 99},
}
# At least one of these is required.
ANY_OF = {"product": {"name", "uid"}, "analytic": {"name", "uid"}}
PLAIN = {"int": int, "str": str, "dict": dict}


def faults(document: dict[str, Any]) -> list[str]:
    """All violations of the field tables in a Detection Finding."""
    found = list(_faults(document, "detection_finding", ""))
    if document.get("type_uid") != document.get("class_uid", 0) * 100 + document.get("activity_id", 0):
        found.append("type_uid: expected class_uid * 100 + activity_id")
    return found


def _faults(document: Any, name: str, path: str) -> Any:
    if not isinstance(document, dict):
        yield f"{path}: expected an object"
        return
    fields = dict(entry.split(":") for entry in TABLES[name].split())
    known = {field.lower(): kind for field, kind in fields.items()}
    yield from (
        f"{path}{field.lower()}: required"
        for field in fields
        if field.isupper() and field.lower() not in document
    )
    if name in ANY_OF and not ANY_OF[name] & document.keys():
        yield f"{path}: expected one of {sorted(ANY_OF[name])}"
    for field, value in document.items():
        if field not in known:
            yield f"{path}{field}: unknown"
            continue
        kind = known[field]
        many = kind.startswith("[")
        if many and not isinstance(value, list):
            yield f"{path}{field}: expected a list"
            continue
        for part in value if many else [value]:
            yield from _value_faults(part, kind.strip("[]"), f"{path}{field}")
            if (allowed := ENUMS.get((name, field))) and part not in allowed:
                yield f"{path}{field}: {part} is not one of its values"


def _value_faults(value: Any, kind: str, path: str) -> Any:
    if kind not in PLAIN:
        yield from _faults(value, kind, f"{path}.")
    elif not isinstance(value, PLAIN[kind]) or isinstance(value, bool):
        yield f"{path}: expected {kind}"
