//! Label selectors (`metav1/validation.ValidateLabelSelector`).

use super::{Findings, Leniency, Place};
use crate::labels::{InvalidSelector, Operator, Requirement, Selector, check_key, check_value};
use crate::netpol::LabelSelector;

pub(super) fn selector(place: &Place<'_>, written: &LabelSelector, findings: &mut Findings) -> Selector {
    let LabelSelector {
        match_labels,
        match_expressions,
    } = written;
    let mut requirements = Vec::with_capacity(match_labels.len() + match_expressions.len());
    let labels = place.field("matchLabels");
    for (key, value) in match_labels {
        if let Err(error) = check_key(key) {
            findings.wrong(&labels, error.to_string());
        }
        if let Err(error) = check_value(value) {
            findings.wrong(&labels, error.to_string());
        }
        add(&mut requirements, key, Operator::new("In", vec![value.clone()]));
    }
    let list = place.field("matchExpressions");
    for (position, expression) in match_expressions.iter().enumerate() {
        let at = list.item(position);
        let operator = Operator::new(&expression.operator, expression.values.clone());
        if let Err(error) = &operator {
            let field = match error {
                InvalidSelector::NoValues { .. } | InvalidSelector::Values { .. } => "values",
                InvalidSelector::UnknownOperator(_) => "operator",
            };
            findings.wrong(&at.field(field), error.to_string());
        }
        if let Err(error) = check_key(&expression.key) {
            findings.wrong(&at.field("key"), error.to_string());
        }
        if findings.leniency == Leniency::Written {
            let values = at.field("values");
            for (position, value) in expression.values.iter().enumerate() {
                if let Err(error) = check_value(value) {
                    findings.wrong(&values.item(position), error.to_string());
                }
            }
        }
        add(&mut requirements, &expression.key, operator);
    }
    Selector::new(requirements)
}

fn add(requirements: &mut Vec<Requirement>, key: &str, operator: Result<Operator, InvalidSelector>) {
    // What has no valid operator has been reported.
    if let Ok(operator) = operator {
        requirements.push(Requirement {
            key: key.to_owned(),
            operator,
        });
    }
}
