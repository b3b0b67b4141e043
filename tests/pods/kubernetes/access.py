"""Who may do what at the small API server: `admin` everything, `gateway` what a role in the namespace grants."""

from collections import defaultdict


class Access:
    """Tokens of accounts, roles and their bindings."""

    def __init__(self):
        self.tokens = {"admin-token": "admin", "gateway-token": "gateway"}
        self.roles = {}
        self.granted = defaultdict(set)

    def grant(self, namespace, kind, body):
        """Take over a Role or a RoleBinding."""
        if kind == "roles":
            rules = [(verb, what) for rule in body["rules"] for verb in rule["verbs"] for what in rule["resources"]]
            self.roles[namespace, body["metadata"]["name"]] = rules
        elif kind == "rolebindings":
            for subject in body["subjects"]:
                self.granted[subject["name"], namespace].update(self.roles[namespace, body["roleRef"]["name"]])

    def check(self, request, verb, resource):
        """(status, message, reason) of a refusal; None for what is allowed."""
        account = self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if account is None:
            return 401, "Unauthorized", "Unauthorized"
        namespace = request.path_params.get("namespace")
        if account == "admin" or (verb, resource) in self.granted[account, namespace]:
            return None
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        return (
            403,
            f'{resource} is forbidden: User "{account}" cannot {verb} resource "{resource}" {where}',
            "Forbidden",
        )
