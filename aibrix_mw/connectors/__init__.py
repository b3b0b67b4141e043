"""How KV caches get from a prefill pod to a decode pod. A new way is one file and one line in this table.

The name is the label `model.aibrix.ai/kv-connector-type` of a vLLM pod, else its engine.
"""

TABLE = {
    "nixl": "aibrix_mw.connectors.kv_transfer:KvTransfer",
    "mooncake": "aibrix_mw.connectors.kv_transfer:KvTransfer",
    "shfs": "aibrix_mw.connectors.kv_transfer:KvTransfer",
    "sglang": "aibrix_mw.connectors.sglang:Sglang",
    "trtllm": "aibrix_mw.connectors.trtllm:Trtllm",
}
