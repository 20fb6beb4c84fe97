"""Types of request and response bodies.

Written by `python -m codegen` from openapi/nethvoice.yaml; change that instead.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from nethvoice.uploads import UploadedFile


class Problem(TypedDict):
    """A failure (RFC 9457). Operations may add members."""
    type: str
    title: str
    status: int
    detail: str
    instance: str


class AuthenticationProblem(Problem):
    """The authentication headers are missing or wrong."""
    error: Literal['Forbidden: no credentials', 'Forbidden: invalid user', 'Forbidden: wrong secret key']


class CredentialsProblem(Problem):
    """User name and password do not make an administrator."""
    error: str


class RefusalProblem(Problem):
    """The user directory or a rule of names and passwords refused."""
    result: str


class MessageProblem(Problem):
    """A refusal whose text clients read from `message`."""
    message: str


class NoFreeNumberProblem(TypedDict):
    """All device numbers of a main extension are taken. `status` is a text in this document alone; the code is in `code`."""
    type: str
    title: str
    status: Literal["There aren't available extension numbers"]
    code: Literal[409]
    detail: str
    instance: str


class CsvImportProblem(Problem):
    """The last CSV import finished with errors, or none was started; `type` tells which."""
    errors: NotRequired[list[str]]


class TaskProblem(Problem):
    """A task that failed or is unknown."""
    task: NotRequired[str]
    action: NotRequired[str | None]
    progress: NotRequired[int]
    state: NotRequired[Literal['queued', 'running', 'succeeded', 'failed']]
    phases: NotRequired[list[TaskPhase]]
    output: NotRequired[str]


class Done(TypedDict):
    """The request was carried out."""
    status: Literal[True]


class Credentials(TypedDict):
    """User name and password of an administrator. Missing ones are wrong ones."""
    username: NotRequired[str | None]
    password: NotRequired[str | None]


class SharedSecret(TypedDict):
    """The shared secret of the installation."""
    result: str


class LoginState(TypedDict):
    """The authentication headers are right."""
    success: Literal[True]


class User(TypedDict):
    """A row of FreePBX's `userman_users` with what this service knows about the person. Every column is a string or null."""
    id: str
    auth: NotRequired[str | None]
    authid: NotRequired[str | None]
    username: str
    description: NotRequired[str | None]
    password: str | None
    default_extension: str
    primary_group: NotRequired[str | None]
    permissions: NotRequired[str | None]
    fname: NotRequired[str | None]
    lname: str | None
    displayname: str | None
    title: NotRequired[str | None]
    company: NotRequired[str | None]
    department: NotRequired[str | None]
    language: NotRequired[str | None]
    timezone: NotRequired[str | None]
    dateformat: NotRequired[str | None]
    timeformat: NotRequired[str | None]
    datetimeformat: NotRequired[str | None]
    email: NotRequired[str | None]
    cell: NotRequired[str | None]
    work: NotRequired[str | None]
    home: NotRequired[str | None]
    fax: NotRequired[str | None]
    dn: str
    devices: list[UserDevice]
    profile: str | None


class UserDevice(TypedDict):
    """A row of `rest_devices_phones`, with the state of its registration."""
    id: str
    user_id: str | None
    mac: str | None
    vendor: str | None
    model: str | None
    line: str | None
    extension: str | None
    secret: str | None
    web_user: str | None
    web_password: str | None
    type: str
    srtp: str | None
    registered: bool


class NewUser(TypedDict):
    """A user to create or to rename. Both members are needed; without them the answer is 422."""
    username: NotRequired[str | None]
    fullname: NotRequired[str | None]


class NewPassword(TypedDict):
    """A new password. Without it the answer is 422."""
    password: NotRequired[str | None]


class StoredPassword(TypedDict):
    """A user's password in clear."""
    result: str


class TaskReference(TypedDict):
    """The task that does the work."""
    result: str


class FinalReportRow(TypedDict):
    """What a person needs to know to use the telephone system."""
    username: str
    displayname: str | None
    password: str | None
    default_extension: str
    voicemailpwd: str


class CsvFile(TypedDict):
    """A CSV file."""
    file: str


class CsvImportProgress(TypedDict):
    """Progress of the CSV import."""
    result: int


class ExtensionDetails(TypedDict):
    """The columns of FreePBX's `users` (strings or null) and what AstDB holds for the extension below `AMPUSER` (empty where the key is missing)."""
    extension: str
    password: str | None
    name: str | None
    voicemail: str | None
    ringtimer: str | None
    noanswer: str | None
    recording: str | None
    outboundcid: str | None
    sipname: str | None
    noanswer_cid: str | None
    busy_cid: str | None
    chanunavail_cid: str | None
    noanswer_dest: str | None
    busy_dest: str | None
    chanunavail_dest: str | None
    mohclass: str | None
    cwtone: str
    recording_in_external: str
    recording_out_external: str
    recording_in_internal: str
    recording_out_internal: str
    recording_ondemand: str
    recording_priority: int | str
    answermode: str
    intercom: str


class MainExtension(ExtensionDetails):
    """A main or virtual extension; the columns of `devices` are null where there is no device, and `tech` is `virtual` then."""
    id: str | None
    tech: str
    dial: str | None
    devicetype: str | None
    user: str | None
    description: str | None
    emergency_cid: str | None
    hint_override: str | None


class PhysicalExtension(ExtensionDetails):
    """A pjsip extension with the columns of `devices`."""
    id: str
    tech: Literal['pjsip']
    dial: str
    devicetype: str
    user: str | None
    description: str | None
    emergency_cid: str | None
    hint_override: str | None


class MainExtensionAssignment(TypedDict):
    """The main extension that a user is to have."""
    username: str
    extension: NotRequired[str | int | None]
    outboundcid: NotRequired[str | None]


class MainExtensionRemoval(TypedDict):
    """The user has no main extension."""
    message: Literal['No extension specified']


class UserLimits(TypedDict):
    """How many users have an extension, and how many may."""
    configured: int
    limit: int | Literal[False]
    configurable: int | Literal[False]


class PhysicalExtensionLink(TypedDict):
    """A phone or custom device to link to a main extension, or a phone for the inventory. `mac` is needed where `mainextension` is missing."""
    mainextension: NotRequired[str | int | None]
    mac: NotRequired[str | None]
    model: NotRequired[str | PhoneModel | None]
    line: NotRequired[str | int | None]
    web_user: NotRequired[str | None]
    web_password: NotRequired[str | None]
    clear_temporary: NotRequired[Any]
    extension: NotRequired[str | int | None]


class PhoneModel(TypedDict):
    """A model as the provisioning engine describes it; only the name is read."""
    name: str


class LinkedExtension(TypedDict):
    """The number of the linked device."""
    extension: str | None


class PhonesAdminPassword(TypedDict):
    """The web password for all phones."""
    password: str


class PhoneModelChange(TypedDict):
    """The model of a phone."""
    model: NotRequired[str | None]


class MainExtensionReference(TypedDict):
    """The main extension that is to get an app or client. Either member is read where the other is missing; one is needed."""
    mainextension: NotRequired[str | int | None]
    extension: NotRequired[str | int | None]


class MobileAppExtension(TypedDict):
    """The extension of a mobile app."""
    extension: str


class ClientExtension(TypedDict):
    """The extension of a browser phone or desktop client."""
    extension: str
    mobile_extension: str | None


class DisplayName(TypedDict):
    """The name of a main extension."""
    displayname: str


class ExtensionDisplayName(TypedDict):
    """The name of an extension."""
    displayname: str | Literal[False]


class MobileNumber(TypedDict):
    """A user's mobile number."""
    mobile: str | None
    username: str


class MobileAssignment(TypedDict):
    """The mobile number that a user is to have."""
    username: str
    mobile: NotRequired[str | None]


class Voicemail(TypedDict):
    """A mailbox of voicemail.conf."""
    mailbox: int | str
    pwd: str
    name: str
    email: str
    pager: str
    options: dict[str, str]


class VoicemailSwitch(TypedDict):
    """Whether an extension is to have a mailbox."""
    extension: str | int
    state: NotRequired[str | bool | None]


class TaskPhase(TypedDict):
    """A step of an apply job."""
    name: str
    state: Literal['queued', 'running', 'succeeded', 'failed']
    started: str | None
    ended: str | None


class Task(TypedDict):
    """A task; apply jobs and pushes to gateways have state, phases and output."""
    task: str
    action: str | None
    progress: int
    state: NotRequired[Literal['queued', 'running', 'succeeded', 'failed']]
    phases: NotRequired[list[TaskPhase]]
    output: NotRequired[str]


class UserProvider(TypedDict):
    """The user directory."""
    configured: Literal[0, 1]
    local: NotRequired[Literal[0, 1]]
    type: NotRequired[Literal['ldap', 'ad']]
    domain: NotRequired[str]


class NetworkToScan(TypedDict):
    """The network to be scanned."""
    network: str


class KnownPhone(TypedDict):
    """A phone of the inventory, or a custom SIP device."""
    mac: NotRequired[str]
    ipv4: NotRequired[str]
    manufacturer: str | None
    type: NotRequired[Literal['phone']]
    model: str | None
    lines: list[PhoneLine]


class PhoneLine(TypedDict):
    """A line of a phone; null members mean that it is linked to nobody."""
    extension: str | None
    mainextension: str | None
    line: str
    secret: str | None
    web_user: NotRequired[str | None]
    web_password: NotRequired[str | None]
    username: str | None
    displayname: str | None
    status: NotRequired[str | None]
    statusText: NotRequired[str | None]


ScannedPhone = TypedDict(
    'ScannedPhone',
    {
        'mac': 'str',
        'ipv4': 'str',
        'manufacturer': 'str',
        'type': "Literal['phone']",
        'model': 'str | None',
        'tftp-requested': 'NotRequired[Literal[True]]',
    },
)


class PhoneMakerAndModel(TypedDict):
    """What a phone is."""
    mac: str
    vendor: NotRequired[str]
    model: str


class PhoneReference(TypedDict):
    """A phone."""
    mac: str


class DetectedGateway(TypedDict):
    """A gateway that was found on a network."""
    mac: str
    ipv4: str
    manufacturer: str
    type: Literal['gateway']


class Gateway(TypedDict):
    """A gateway. `type` is there when a scan found it; the members from `id` on are there when it is configured (columns of `gateway_config`)."""
    mac: str | None
    ipv4: str | None
    manufacturer: str | None
    type: NotRequired[Literal['gateway']]
    isConnected: bool
    isConfigured: bool
    id: NotRequired[str]
    model_id: NotRequired[str]
    model: NotRequired[str]
    name: NotRequired[str | None]
    ipv4_new: NotRequired[str | None]
    gateway: NotRequired[str | None]
    ipv4_green: NotRequired[str | None]
    netmask_green: NotRequired[str | None]
    proxy: NotRequired[str | None]
    trunks_isdn: NotRequired[list[GatewayIsdnPort]]
    trunks_pri: NotRequired[list[GatewayPriPort]]
    trunks_fxo: NotRequired[list[GatewayFxoPort]]
    trunks_fxs: NotRequired[list[GatewayFxsPort]]


class GatewayModel(TypedDict):
    """A model of gateway, a row of `gateway_models`, with addresses to propose."""
    id: str
    model: str
    manufacturer: str | None
    tech: str | None
    n_pri_trunks: str | None
    n_isdn_trunks: str | None
    n_fxo_trunks: str | None
    n_fxs_ext: str | None
    description: str | None
    proxy: str
    ipv4_green: str


class GatewayToSave(TypedDict):
    """A gateway as it is to be."""
    name: str
    mac: NotRequired[str | None]
    model: str | int
    manufacturer: NotRequired[str | None]
    ipv4: NotRequired[str | None]
    ipv4_new: str
    gateway: str
    netmask_green: NotRequired[str | None]
    ipv4_green: NotRequired[str | None]
    proxy: NotRequired[str | None]
    trunks_isdn: NotRequired[list[IsdnPortToSave] | None]
    trunks_pri: NotRequired[list[dict[str, Any]] | None]
    trunks_fxo: NotRequired[list[FxoPortToSave] | None]
    trunks_fxs: NotRequired[list[FxsPortToSave] | None]
    users_fxs: NotRequired[list[FxsUserToSave] | None]


class IsdnPortToSave(TypedDict):
    """An ISDN port."""
    type: NotRequired[str | None]


class FxoPortToSave(TypedDict):
    """A port for an analogue line."""
    number: NotRequired[str | int | None]


class FxsPortToSave(TypedDict):
    """A port for an analogue telephone."""
    linked_extension: NotRequired[str | int | None]


class FxsUserToSave(TypedDict):
    """A port for an analogue telephone, by its user."""
    linked_user: NotRequired[str | None]


class SavedGateway(TypedDict):
    """The gateway is saved."""
    status: Literal[True]
    errors: list[str]
    warnings: list[str]
    infos: list[str]
    id: str


class GatewayProblem(Problem):
    """A gateway that is refused."""
    errors: NotRequired[list[str]]
    warnings: NotRequired[list[str]]
    infos: NotRequired[list[str]]


class GatewayName(TypedDict):
    """Which gateway."""
    name: str
    mac: NotRequired[str | None]


class GatewayToPush(TypedDict):
    """Which gateway; other members are ignored."""
    name: str
    mac: NotRequired[str | None]


class GatewayPushProblem(Problem):
    """A push that failed."""
    task: NotRequired[str]


class GatewayTask(Task):
    """A push to a gateway."""
    created: str


class GatewayIsdnPort(TypedDict):
    """An ISDN port."""
    name: str
    type: str | None


class GatewayPriPort(TypedDict):
    """A primary rate port."""
    linked_trunk: str


class GatewayFxoPort(TypedDict):
    """An analogue line port."""
    linked_trunk: str
    number: str | None


class GatewayFxsPort(TypedDict):
    """An analogue telephone port."""
    linked_extension: str | None


Trunk = TypedDict(
    'Trunk',
    {
        'trunkid': 'str',
        'tech': 'str',
        'channelid': 'str',
        'name': 'str',
        'outcid': 'str',
        'keepcid': 'NotRequired[str | None]',
        'maxchans': 'NotRequired[str | None]',
        'failscript': 'NotRequired[str]',
        'dialoutprefix': 'NotRequired[str]',
        'usercontext': 'NotRequired[str | None]',
        'provider': 'NotRequired[str | None]',
        'disabled': 'NotRequired[str | None]',
        'continue': 'NotRequired[str | None]',
        'dialopts': 'str | Literal[False]',
        'username': 'str | None',
        'details': 'dict[str, str]',
    },
)


class NewTrunk(TypedDict):
    """A trunk to make from a provider."""
    provider: str
    name: NotRequired[str | None]
    username: str
    password: str
    phone: str
    codecs: NotRequired[list[str] | str]
    codec: NotRequired[list[str] | str]
    forceCodec: NotRequired[bool | None]


class CreatedTrunk(TypedDict):
    """The new trunk."""
    trunkid: str


class TrunkChange(TypedDict):
    """What is to change in a trunk; whatever is missing stays."""
    username: NotRequired[str | None]
    password: NotRequired[str | None]
    phone: NotRequired[str | None]
    codecs: NotRequired[list[str] | str]
    codec: NotRequired[list[str] | str]
    forceCodec: NotRequired[bool | None]


class TrunkProblem(Problem):
    """A trunk that cannot be made; the text is in `error` too."""
    error: str


class Provider(TypedDict):
    """A VoIP provider."""
    id: str
    provider: str
    description: str
    descrizione: str
    dettpeer: str
    dettuser: str
    registration: str


class VoipCodec(TypedDict):
    """A codec of VoIP trunks."""
    codec: str
    enabled: bool


class InboundRoute(TypedDict):
    """A row of `incoming`."""
    cidnum: str
    extension: str
    destination: str | None
    privacyman: NotRequired[str | None]
    alertinfo: NotRequired[str | None]
    ringing: NotRequired[str | None]
    fanswer: NotRequired[str | None]
    mohclass: NotRequired[str | None]
    description: NotRequired[str | None]
    grppre: NotRequired[str | None]
    delay_answer: NotRequired[str | None]
    pricid: NotRequired[str | None]
    pmmaxretries: NotRequired[str | None]
    pmminlength: NotRequired[str | None]
    reversal: NotRequired[str | None]
    rvolume: NotRequired[str | None]
    indication_zone: NotRequired[str | None]


class InboundRouteList(TypedDict):
    """All inbound routes, and the destinations they can have."""
    destinations: dict[str, RouteDestination]
    routes: list[InboundRoute]


class RouteDestination(TypedDict):
    """A destination as the list of inbound routes has it."""
    destination: str
    description: str
    category: NotRequired[str]
    id: NotRequired[str]
    module: str
    name: str
    edit_url: str


class NewInboundRoute(TypedDict):
    """An inbound route to be made. Missing members have the value that FreePBX's page stores. `faxexten`, `faxemail`, `answer` and `wait` of older clients are accepted and ignored."""
    extension: NotRequired[str | int | None]
    cidnum: NotRequired[str | int | None]
    destination: NotRequired[str | None]
    description: NotRequired[str | None]
    mohclass: NotRequired[str | None]
    privacyman: NotRequired[Literal['0', '1', ''] | Literal[0, 1] | None]
    pmmaxretries: NotRequired[str | int | None]
    pmminlength: NotRequired[str | int | None]
    alertinfo: NotRequired[str | None]
    ringing: NotRequired[Literal['', 'CHECKED'] | None]
    fanswer: NotRequired[Literal['', 'CHECKED'] | None]
    reversal: NotRequired[Literal['', 'CHECKED'] | None]
    pricid: NotRequired[Literal['', 'CHECKED'] | None]
    grppre: NotRequired[str | None]
    delay_answer: NotRequired[str | int | None]
    rvolume: NotRequired[str | int | None]
    indication_zone: NotRequired[str | None]


class InboundRouteReference(TypedDict):
    """The pair that names an inbound route."""
    extension: str | int
    cid: NotRequired[str | int | None]


class OutboundRoute(TypedDict):
    """A row of `outbound_routes`, its place and its trunks."""
    route_id: str
    name: str | None
    outcid: NotRequired[str | None]
    outcid_mode: NotRequired[str | None]
    password: NotRequired[str | None]
    emergency_route: NotRequired[str | None]
    intracompany_route: NotRequired[str | None]
    mohclass: NotRequired[str | None]
    time_group_id: NotRequired[str | None]
    dest: NotRequired[str | None]
    time_mode: NotRequired[str | None]
    calendar_id: NotRequired[str | None]
    calendar_group_id: NotRequired[str | None]
    timezone: NotRequired[str | None]
    seq: str
    trunks: list[RouteTrunk]


class RouteTrunk(TypedDict):
    """A trunk of an outbound route."""
    trunkid: str
    name: str


class DefaultOutboundRouteTrunks(TypedDict):
    name: str
    trunkid: str
    id: str


class DefaultOutboundRoute(TypedDict):
    """A route that is offered for a locale."""
    name: str
    trunks: list[DefaultOutboundRouteTrunks]


class WantedOutboundRouteTrunks(TypedDict):
    """A trunk, named by `trunkid`, or by `id` when that is missing."""
    trunkid: NotRequired[str | int | None]
    id: NotRequired[str | int | None]


class WantedOutboundRoute(TypedDict):
    """A route that exists (with `route_id`) or a new one. Other members are ignored."""
    route_id: NotRequired[str | int | None]
    name: NotRequired[str | None]
    trunks: NotRequired[list[WantedOutboundRouteTrunks] | None]


class BulkSettings(TypedDict):
    """What several extensions have in common; null where they differ."""
    displayname: str | None
    profile: str | Literal[-1] | None
    callwaiting: bool | None
    ringtime: str | Literal[False] | None
    callgroup: str | None
    pickupgroup: str | None
    noanswerdest: str | None
    busydest: str | None
    notreachabledest: str | None
    outboundcid: str | None


class BulkChange(TypedDict):
    """What is to be set; missing members and null stay untouched, unknown ones are ignored. `outboundcid`, `context`, `directdid` and `directdidmodule` of the wizard are among these."""
    displayname: NotRequired[str | None]
    profile: NotRequired[str | int | None]
    callwaiting: NotRequired[bool | None]
    ringtime: NotRequired[str | int | Literal[False] | None]
    callgroup: NotRequired[str | None]
    pickupgroup: NotRequired[str | None]
    noanswerdest: NotRequired[str | None]
    busydest: NotRequired[str | None]
    notreachabledest: NotRequired[str | None]
    outboundcid_fixed: NotRequired[str | int | None]
    outboundcid_variable: NotRequired[str | int | None]


class BulkProblem(Problem):
    """The request is refused as a whole; `errors` has one text for everything that is wrong."""
    errors: NotRequired[list[str]]


class Destination(TypedDict):
    """Something a call can be sent to."""
    destination: str
    description: str
    category: str | None
    id: str | None
    selected: bool


class Mode(TypedDict):
    """The kind of user directory."""
    result: Literal['legacy', 'uc', 'unknown']


class ModeChoice(TypedDict):
    """The kind of user directory that is chosen."""
    mode: NotRequired[str | None]


class ModeResult(TypedDict):
    """What came of the choice."""
    result: str


class HostNetwork(TypedDict):
    """A local network of the PBX."""
    network: str
    ip: str
    netmask: str
    gateway: str | None


class WizardState(TypedDict):
    """How far the set-up wizard is."""
    step: str
    status: str | None


class WizardChange(TypedDict):
    """How far the set-up wizard is, as it is saved."""
    step: NotRequired[str | int | None]
    status: bool | str | int


class LocalNetwork(TypedDict):
    """A network whose hosts need no NAT."""
    net: NotRequired[str | None]
    mask: NotRequired[str | int | None]


class GoogleCredentials(TypedDict):
    """The key of a Google service account."""
    file: str


class LanguagesValue(TypedDict):
    """A language."""
    default: bool


class LanguageChoice(TypedDict):
    """A language of the prompts."""
    lang: str


class ConferenceUrl(TypedDict):
    """Address of the conference service."""
    url: str


class PhonebookSource(TypedDict):
    """Where contacts come from. `dbtype` is always needed. `mysql` and `postgresql` need `host`, `port`, `user`, `password`, `dbname` and `query`; `ldap` needs `host`, `port`, `dbname` and `query`; `csv` needs `url`; all need `mapping`, except for `POST /phonebook/test`. What is missing or empty is answered with 400. Other members are kept."""
    dbtype: NotRequired[str]
    host: NotRequired[str]
    port: NotRequired[str | int]
    user: NotRequired[str]
    password: NotRequired[str]
    dbname: NotRequired[str]
    query: NotRequired[str]
    tls: NotRequired[Literal['none', 'starttls', 'ldaps']]
    url: NotRequired[str]
    mapping: NotRequired[dict[str, str]]
    interval: NotRequired[int | str]
    type: NotRequired[str]
    enabled: NotRequired[bool]


class PhonebookSourcesValue(TypedDict):
    enabled: bool


class PhonebookSourceStored(TypedDict):
    """The source is stored."""
    status: Literal[True]
    id: str


class PhonebookTrialObject(TypedDict):
    status: Literal[False]


class PhonebookUpload(TypedDict):
    """The file is kept."""
    status: Literal[True]
    uri: str


class LdapPhonebook(TypedDict):
    """How phones search the phonebook, in the words of the provisioning defaults `ldap_*`."""
    enabled: bool
    port: str
    user: str
    password: str
    tls: Literal['none', 'ldaps']
    base: str
    name_display: str
    mainphone_number_attr: str
    mobilephone_number_attr: str
    otherphone_number_attr: str
    name_attr: str
    number_filter: str
    name_filter: str


class LdapPhonebooks(TypedDict):
    """The LDAP phonebook without and with TLS."""
    ldap: LdapPhonebook
    ldaps: LdapPhonebook


class PhonebookSwitches(TypedDict):
    """Which built-in sources are on."""
    extensions: bool
    nethcti: bool
    speeddial: bool


class PhoneReboot(TypedDict):
    """When a phone is to restart, by the clock of the PBX."""
    hours: str
    minutes: str


class PhoneRebootWish(TypedDict):
    """When a phone is to restart; now when both are missing."""
    hours: NotRequired[str | int | None]
    minutes: NotRequired[str | int | None]


class PhoneOutcome(TypedDict):
    """What became of a phone."""
    code: int
    title: NotRequired[str]
    detail: NotRequired[str]


class PhoneExtension(TypedDict):
    """An extension whose phone is meant."""
    extension: str | int


class PhoneRedirect(TypedDict):
    """Where a phone gets its configuration."""
    url: NotRequired[str | None]
    crc: NotRequired[str | None]


class RedirectProblem(Problem):
    """The redirect gateway refused or failed; its own words are in `error` and `message`."""
    error: NotRequired[str]
    message: NotRequired[str]


class PhoneAccount(TypedDict):
    """SIP account of a phone; empty for an unknown phone."""
    extension: NotRequired[str | None]
    secret: NotRequired[str | None]


class PhoneState(TypedDict):
    """State of an extension, as Asterisk tells it."""
    Response: str
    Message: str
    Exten: str
    Context: str
    Hint: str | Literal[False]
    Status: str
    StatusText: str


class ProvisioningHost(TypedDict):
    """How phones are to reach this server."""
    host: NotRequired[str | None]
    scheme: NotRequired[str | None]


class Connectivity(TypedDict):
    """Whether phones reach this server."""
    is_reachable: bool
    valid_certificate: bool
    host_type: Literal['IP', 'FQDN']


class MacAddressRange(TypedDict):
    """A range of MAC addresses, both ends included."""
    start: str
    end: str


WholeNumber = int
"""An integer that every reader of JSON keeps exact (RFC 7493)."""


ExtensionNumber = str | int
"""Number of an extension, as text or as an integer; handled as text."""


OptionalExtensionNumber = str | int | None
"""Number of an extension, as text or as an integer; null and the empty text mean none."""


TaskId = str
"""Id of a task."""


TaskState = Literal['queued', 'running', 'succeeded', 'failed']
"""State of an apply job or of one of its phases."""


PriPortToSave = dict[str, Any]
"""A primary rate port; nothing in it matters."""


TrunkCodecs = list[str] | str
"""Codecs in order of preference, as a list or as a comma-separated text."""


OutboundRoutesByLocale = dict[str, list[WantedOutboundRoute]]
"""One locale with its routes."""


TrunkNumber = str | int | None
"""Number of a trunk, as text or as an integer."""


HostNetworks = dict[str, HostNetwork]
"""Local networks by interface."""


LocalNetworksOrFalse = list[LocalNetwork] | Literal[False]
"""The networks, `net` and `mask` as texts; false when they were never set."""


Languages = dict[str, LanguagesValue]
"""Installed languages by code."""


PhonebookField = Literal['cellphone', 'company', 'fax', 'homecity', 'homecountry', 'homeemail', 'homephone', 'homepob', 'homepostalcode', 'homeprovince', 'homestreet', 'name', 'notes', 'owner_id', 'title', 'url', 'workcity', 'workcountry', 'workemail', 'workphone', 'workpob', 'workpostalcode', 'workprovince', 'workstreet']
"""A column of the central phonebook that a source may fill."""


PhonebookSources = dict[str, PhonebookSourcesValue]
"""Sources by id, as they are stored; files written by hand may hold other types and members."""


PhonebookTrial = list[dict[str, str]] | PhonebookTrialObject
"""Up to three rows, or that the source does not work."""


PhonebookUploadForm = dict[str, UploadedFile]
"""A form with one file; the field may have any name, and the last of several files counts."""


PhoneReboots = dict[str, PhoneReboot]
"""Planned reboots by MAC address."""


PhoneRebootWishes = dict[str, PhoneRebootWish | list[str] | str]
"""When phones are to restart, by MAC address."""


PhoneOutcomes = dict[str, PhoneOutcome]
"""What became of each phone, by MAC address as it was sent."""


PhoneStates = dict[str, PhoneState]
"""States by extension."""
