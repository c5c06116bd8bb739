"""What a page says after a change, by the word that its address carries: a closed list, so that no link can put words in."""

from __future__ import annotations

from types import MappingProxyType

NOTICES = MappingProxyType(
    {
        "user-added": "The user is added. They need an access key next.",
        "user-changed": "The changes are saved. They are in force in every worker within two seconds.",
        "user-activated": "The user is active again, and so are their keys.",
        "user-deactivated": "The user is inactive. All their keys are cut off within two seconds.",
        "key-changed": "The changes are saved. They are in force in every worker within two seconds.",
        "key-revoked": "The key is revoked. It is refused by every worker within two seconds.",
        "bedrock-key-works": "The Bedrock key was tested: AWS takes it.",
        "bedrock-key-refused": "AWS refuses the Bedrock key. It is kept, but not used; the reason stands beside it.",
        "bedrock-key-test-failed": "The Bedrock key is kept, but its test did not succeed; the reason stands beside it.",
        "bedrock-key-removed": "The Bedrock key is destroyed. At AWS it is still there: end it there, too.",
        "link-withdrawn": "The link is withdrawn.",
        "admin-added": "The admin is added. They sign in with the password that you gave them.",
        "admin-role-changed": "The role is changed. They have to sign in again.",
        "admin-password-reset": "The password is changed. Their sessions and API tokens have ended.",
        "admin-factor-reset": "The second factor is taken away. They sign in with their password alone, until they set one up.",
        "admin-disabled": "The admin is disabled. Their sessions and API tokens have ended.",
        "admin-enabled": "The admin may sign in again.",
        "admin-deleted": "The admin is deleted, with sessions and API tokens.",
        "admin-sessions-ended": "The sessions have ended.",
        "admin-token-revoked": "The API token is revoked.",
        "user-deleted": "The user is deleted: their keys are revoked, their Bedrock keys destroyed.",
        "price-set": "The price is set. What ends from its moment on is priced by it, in every worker within two seconds.",
        "price-removed": "The price is removed. What held before holds again.",
        "circuit-closed": "The circuit is closed. The next request asks the upstream again.",
        "model-added": "The model is added. Every worker knows it within two seconds.",
        "model-removed": "The model is removed. What is shipped holds again.",
        "repairs-cleared": "Forgotten. What Bedrock still refuses will be learned again with the next requests.",
    }
)
