//! Standards of health informatics.

use super::super::Item;
use super::absent;

const LAW: &str = "Health standards";
const FEED: &str = "record it in its own systems";

pub(super) const ITEMS: &[Item] = &[
    absent(
        LAW,
        "IHE ATNA",
        "Audit trail and node authentication",
        "Records are not sent as ITI-20 messages.",
        "export them instead",
    ),
    absent(
        LAW,
        "IHE BALP",
        "Basic audit log patterns",
        "Records are not given as FHIR AuditEvents.",
        "export them instead",
    ),
    absent(LAW, "FHIR AuditEvent", "Audit as FHIR", "There is no FHIR interface.", "export records instead"),
    absent(LAW, "FHIR Communication", "Messages as FHIR", "There is no FHIR interface.", FEED),
    absent(
        LAW,
        "FHIR CommunicationRequest",
        "Escalation as FHIR",
        "There is no escalation and no FHIR interface.",
        FEED,
    ),
    absent(LAW, "HL7 v2 ADT", "Admission, discharge, transfer", "There is no HL7 v2 interface.", FEED),
    absent(
        LAW,
        "SMART on FHIR, OIDC",
        "Sign-in and launch",
        "Sign-in is by Tricord's own accounts.",
        "enrol people itself",
    ),
    absent(LAW, "SCIM 2.0", "Provisioning", "Accounts are imported from CSV.", "keep accounts up to date itself"),
    absent(LAW, "LDAP", "Directory", "Accounts are imported from CSV.", "keep accounts up to date itself"),
];
