# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end suites share: a server under test, a receiver that misbehaves on request, and an API client."""
