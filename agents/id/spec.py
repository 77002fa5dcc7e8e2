"""What ID hears, says and may do."""

from agents.runtime.agent import AgentSpec
from mutable_core.messages import IdentityIssued, RunStarted

SPEC = AgentSpec(
    name="id",
    does="is identity: says at the beginning of a journal which agent of which build may say what",
    hears=(RunStarted,),
    says=(IdentityIssued,),
)
