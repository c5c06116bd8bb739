"""What the network must be: every public function is a rule, and yields what breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from tests.ecs.stacks import Resource, Stacks

ANYWHERE = ("0.0.0.0/0", "::/0")
_OPEN = {("LoadBalancerGroup", 443), ("LoadBalancerGroup", 80)}
# From where to where by which port: the whole of it.
_CHAIN = {
    ("LoadBalancerGroup", "TaskGroup", 8080),
    ("TaskGroup", "DatabaseGroup", 5432),
}


def there_are_two_zones(s: Stacks) -> Iterator[str]:
    for tier in ("Public", "Task", "Database"):
        zones = {s.one("network", f"{tier}Subnet{letter}")["AvailabilityZone"] for letter in "AB"}
        if len(zones) != 2:
            yield f"{tier} subnets are in {zones}"


def zones_can_be_named(s: Stacks) -> Iterator[str]:
    """Not every zone of a region has Fargate, NAT gateways or Aurora, and which ones AWS lists first is chance."""
    named = Stacks(s.templates, ZoneA="eu-central-1c", ZoneB="eu-central-1d")
    for tier in ("Public", "Task", "Database"):
        zones = [named.one("network", f"{tier}Subnet{letter}")["AvailabilityZone"] for letter in "AB"]
        if zones != ["eu-central-1c", "eu-central-1d"]:
            yield f"{tier} subnets are in {zones}"


def subnets_are_apart_and_inside_the_network(s: Stacks) -> Iterator[str]:
    whole = ip_network(s.one("network", "Vpc")["CidrBlock"])
    blocks = [ip_network(subnet["CidrBlock"]) for subnet in s.all("AWS::EC2::Subnet")]
    for number, block in enumerate(blocks):
        if not block.subnet_of(whole):
            yield f"{block} is outside {whole}"
        if any(block.overlaps(other) for other in blocks[number + 1 :]):
            yield f"{block} overlaps another subnet"


def nothing_gets_a_public_address(s: Stacks) -> Iterator[str]:
    for subnet in s.all("AWS::EC2::Subnet"):
        if subnet["MapPublicIpOnLaunch"] is not False:
            yield f"{subnet.name} gives public addresses"
    for service in s.all("AWS::ECS::Service"):
        if service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] != "DISABLED":
            yield "tasks get public addresses"
    for instance in s.all("AWS::RDS::DBInstance"):
        if instance["PubliclyAccessible"] is not False:
            yield f"{instance.name} gets a public address"


def tasks_and_database_are_in_private_subnets(s: Stacks) -> Iterator[str]:
    service = s.one("service", "Service")["NetworkConfiguration"]["AwsvpcConfiguration"]["Subnets"]
    if service != [s.one("network", f"TaskSubnet{letter}").ref for letter in "AB"]:
        yield f"tasks are in {service}"
    database = s.one("data", "DatabaseSubnets")["SubnetIds"]
    if database != [s.one("network", f"DatabaseSubnet{letter}").ref for letter in "AB"]:
        yield f"the database is in {database}"


def only_public_subnets_have_a_way_to_the_internet(s: Stacks) -> Iterator[str]:
    ways = {route["RouteTableId"] for route in s.all("AWS::EC2::Route") if "GatewayId" in route.properties}
    public = {s.one("network", f"PublicSubnet{letter}").ref for letter in "AB"}
    for place in s.all("AWS::EC2::SubnetRouteTableAssociation"):
        if (place["RouteTableId"] in ways) != (place["SubnetId"] in public):
            yield f"{place.name} is wrong"


def the_database_has_no_way_out_of_the_network(s: Stacks) -> Iterator[str]:
    routes = {route["RouteTableId"] for route in s.all("AWS::EC2::Route")}
    yield from (f"{table} has routes" for table in routes if table == s.one("network", "DatabaseRoutes").ref)


def each_zone_has_its_own_way_out(s: Stacks) -> Iterator[str]:
    gateways = [s.one("network", f"TaskRouteOut{letter}")["NatGatewayId"] for letter in "AB"]
    if len(set(gateways)) != 2:
        yield f"both zones go out by {gateways[0]}"
    for letter in "AB":
        subnet = s.one("network", f"Nat{letter}")["SubnetId"]
        if subnet != s.one("network", f"PublicSubnet{letter}").ref:
            yield f"Nat{letter} is in {subnet}"


def only_the_load_balancer_is_open_to_clients(s: Stacks) -> Iterator[str]:
    for group in s.all("AWS::EC2::SecurityGroup"):
        for rule in group.get("SecurityGroupIngress", []):
            if "CidrIp" in rule and ((group.name, rule["FromPort"]) not in _OPEN or rule["ToPort"] != rule["FromPort"]):
                yield f"{group.name} is open to {rule['CidrIp']}"
    for rule in s.all("AWS::EC2::SecurityGroupIngress"):
        if "SourceSecurityGroupId" not in rule.properties:
            yield f"{rule.name} is open to {rule.get('CidrIp')}"


def groups_form_a_chain(s: Stacks) -> Iterator[str]:
    into = {(_name(s, rule["SourceSecurityGroupId"]), _name(s, rule["GroupId"]), *_ports(rule)) for rule in _ingress(s)}
    out = {
        (_name(s, rule["GroupId"]), _name(s, rule["DestinationSecurityGroupId"]), *_ports(rule))
        for rule in s.all("AWS::EC2::SecurityGroupEgress")
    }
    wanted = {(source, target, port, port) for source, target, port in _CHAIN}
    yield from (f"{rule} is missing or too much among what comes in" for rule in into ^ wanted)
    yield from (f"{rule} is missing or too much among what goes out" for rule in out ^ wanted)


def what_goes_out_is_limited(s: Stacks) -> Iterator[str]:
    """Security groups without a rule for what goes out let everything out."""
    for group in s.all("AWS::EC2::SecurityGroup"):
        rules = group.get("SecurityGroupEgress", [])
        to_the_world = [rule for rule in rules if rule["CidrIp"] in ANYWHERE]
        if not rules:
            yield f"{group.name} lets everything out"
        if group.name == "TaskGroup" and [(rule["IpProtocol"], *_ports(rule)) for rule in rules] != [("tcp", 443, 443)]:
            yield "tasks may reach more than port 443"
        if group.name != "TaskGroup" and to_the_world:
            yield f"{group.name} reaches the world"


def each_part_has_its_group(s: Stacks) -> Iterator[str]:
    service = s.one("service", "Service")["NetworkConfiguration"]["AwsvpcConfiguration"]["SecurityGroups"]
    found = {
        "TaskGroup": service,
        "DatabaseGroup": s.one("data", "Database")["VpcSecurityGroupIds"],
        "LoadBalancerGroup": s.one("service", "LoadBalancer")["SecurityGroups"],
    }
    yield from (f"{name}: {groups}" for name, groups in found.items() if groups != [s.one("network", name).ref])


def endpoints_are_a_choice(s: Stacks) -> Iterator[str]:
    both = (Stacks(s.templates, PrivateEndpoints="no"), Stacks(s.templates, PrivateEndpoints="yes"))
    without, with_all = ([e["ServiceName"].rsplit("com.amazonaws.", 1)[1] for e in x.all("AWS::EC2::VPCEndpoint")] for x in both)
    names = ["s3", "bedrock-runtime", "kms", "secretsmanager", "logs", "ecr.api", "ecr.dkr"]
    for endpoint in both[1].all("AWS::EC2::VPCEndpoint"):
        private = (endpoint["VpcEndpointType"], endpoint.get("PrivateDnsEnabled"), endpoint.get("SecurityGroupIds"))
        if private != (
            ("Gateway", None, None) if endpoint.name == "S3Endpoint" else ("Interface", True, ["${network.EndpointGroup}"])
        ):
            yield f"{endpoint.name}: {private}"
    if [name.split(".", 1)[1] for name in without] != ["s3"]:
        yield f"without endpoints there are {without}"
    if [name.split(".", 1)[1] for name in with_all] != names:
        yield f"with endpoints there are {with_all}"


def refused_connections_are_kept_for_30_days(s: Stacks) -> Iterator[str]:
    flow = s.one("observability", "FlowLog")
    if (flow["ResourceId"], flow["TrafficType"]) != (s.one("network", "Vpc").ref, "REJECT"):
        yield f"{flow['TrafficType']} of {flow['ResourceId']}"


def _ingress(s: Stacks) -> list[Resource]:
    return [rule for rule in s.all("AWS::EC2::SecurityGroupIngress") if "SourceSecurityGroupId" in rule.properties]


def _ports(rule: Resource | dict[str, int]) -> tuple[int, int]:
    return rule["FromPort"], rule["ToPort"]


def _name(s: Stacks, ref: str) -> str:
    return ref.removeprefix("${network.").removesuffix("}")
