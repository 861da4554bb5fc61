{{ passed_candidates(ref('audit_customer_features')) }}
