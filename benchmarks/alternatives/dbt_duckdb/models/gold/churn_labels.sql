{{ passed_candidates(ref('audit_churn_labels')) }}
