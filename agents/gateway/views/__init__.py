"""How models are set up, and the ledger of calls to them, over HTTP."""

from agents.gateway.views.calls import ModelCallList, TaskCallList
from agents.gateway.views.credentials import CredentialDetail, CredentialList
from agents.gateway.views.deployments import DeploymentDetail, DeploymentList, DeploymentTry
from agents.gateway.views.prices import PriceList
from agents.gateway.views.routes import RouteDetail, RouteList

__all__ = [
    "CredentialDetail",
    "CredentialList",
    "DeploymentDetail",
    "DeploymentList",
    "DeploymentTry",
    "ModelCallList",
    "PriceList",
    "RouteDetail",
    "RouteList",
    "TaskCallList",
]
