// The package's own declarations against the fixed ones, renamed from 'dagsync' to 'api': it has to compile, and never runs.
import type * as Api from 'api'
import type * as ApiAnnounce from 'api/announce'
import type * as ApiDataTransfer from 'api/data-transfer'
import type * as ApiDtsync from 'api/dtsync'
import type * as ApiGraphsync from 'api/graphsync'
import type * as ApiSelector from 'api/selector'
import type * as ApiSyncer from 'api/syncer'
import * as dagsync from 'dagsync'
import * as announce from 'dagsync/announce'
import * as dataTransfer from 'dagsync/data-transfer'
import * as dtsync from 'dagsync/dtsync'
import * as graphsync from 'dagsync/graphsync'
import * as multiaddr from 'dagsync/multiaddr'
import * as selector from 'dagsync/selector'
import * as signedHead from 'dagsync/signed-head'
import * as syncer from 'dagsync/syncer'
import * as testing from 'dagsync/testing'

// Every value: functions, classes and constants, with what they take and what they give.
export const values = [
  dagsync satisfies typeof import('api'),
  announce satisfies typeof import('api/announce'),
  multiaddr satisfies typeof import('api/multiaddr'),
  selector satisfies typeof import('api/selector'),
  signedHead satisfies typeof import('api/signed-head'),
  syncer satisfies typeof import('api/syncer'),
  graphsync satisfies typeof import('api/graphsync'),
  dataTransfer satisfies typeof import('api/data-transfer'),
  dtsync satisfies typeof import('api/dtsync'),
  testing satisfies typeof import('api/testing')
]

/** What a caller that knows the fixed type passes in, the package takes. */
type Taken<Fixed, Ours> = [Fixed] extends [Ours] ? true : never
/** What the package gives, a caller that knows the fixed type can use. */
type Given<Fixed, Ours> = [Ours] extends [Fixed] ? true : never
type Both<Fixed, Ours> = Taken<Fixed, Ours> & Given<Fixed, Ours>

// Constructors: their parameters are compared loosely above, as TypeScript compares those of methods.
export const constructors: [
  Taken<ConstructorParameters<typeof Api.Subscriber>, ConstructorParameters<typeof dagsync.Subscriber>>,
  Taken<ConstructorParameters<typeof Api.Publisher>, ConstructorParameters<typeof dagsync.Publisher>>,
  Taken<ConstructorParameters<typeof ApiAnnounce.Receiver>, ConstructorParameters<typeof announce.Receiver>>,
  Taken<ConstructorParameters<typeof Api.DagsyncError>, ConstructorParameters<typeof dagsync.DagsyncError>>
] = [true, true, true, true]

// Methods, for the same reason.
type Methods<Fixed, Ours> = {
  [Name in keyof Fixed]-?: Name extends keyof Ours
    ? NonNullable<Fixed[Name]> extends (...args: infer FixedArgs) => unknown
      ? NonNullable<Ours[Name]> extends (...args: infer OurArgs) => unknown ? Taken<FixedArgs, OurArgs> : never
      : true
    : never
}
type All<T> = T[keyof T] extends true ? true : never
export const methods: [
  All<Methods<Api.Subscriber, dagsync.Subscriber>>,
  All<Methods<Api.Publisher, dagsync.Publisher>>,
  All<Methods<Api.LinkSystem, dagsync.LinkSystem>>,
  All<Methods<Api.AddressBook, dagsync.AddressBook>>,
  All<Methods<ApiAnnounce.Receiver, announce.Receiver>>,
  All<Methods<ApiAnnounce.AnnounceSender, announce.AnnounceSender>>,
  All<Methods<ApiSyncer.Syncer, syncer.Syncer>>,
  All<Methods<Api.PubSub, dagsync.PubSub>>,
  All<Methods<ApiGraphsync.GraphExchange, graphsync.GraphExchange>>,
  All<Methods<ApiDataTransfer.DataTransfer, dataTransfer.DataTransfer>>,
  All<Methods<ApiDtsync.HeadServer, dtsync.HeadServer>>
] = [true, true, true, true, true, true, true, true, true, true, true]

// What a user may write against the fixed types is called with what those say: the other way round.
export const implemented: [
  All<Methods<dagsync.LinkSystem, Api.LinkSystem>>,
  All<Methods<dagsync.PubSub, Api.PubSub>>,
  All<Methods<Pick<announce.AnnounceSender, keyof ApiAnnounce.AnnounceSender>, ApiAnnounce.AnnounceSender>>
] = [true, true, true]

// Every type, by name.
export const types: {
  LinkSystem: Both<Api.LinkSystem, dagsync.LinkSystem>
  StoreOptions: Both<Api.StoreOptions, dagsync.StoreOptions>
  SyncTarget: Both<Api.SyncTarget, dagsync.SyncTarget>
  SubscriberComponents: Both<Api.SubscriberComponents, dagsync.SubscriberComponents>
  SubscriberInit: Both<Api.SubscriberInit, dagsync.SubscriberInit>
  LastKnownSync: Both<Api.LastKnownSync, dagsync.LastKnownSync>
  BlockHook: Both<Api.BlockHook, dagsync.BlockHook>
  SegmentSyncActions: Both<Api.SegmentSyncActions, dagsync.SegmentSyncActions>
  SyncOptions: Both<Api.SyncOptions, dagsync.SyncOptions>
  SyncFinished: Both<Api.SyncFinished, dagsync.SyncFinished>
  SyncProgressEvents: Both<Api.SyncProgressEvents, dagsync.SyncProgressEvents>
  Subscriber: Given<Api.Subscriber, dagsync.Subscriber>
  AddressBook: Both<Api.AddressBook, dagsync.AddressBook>
  PubSub: Both<Api.PubSub, dagsync.PubSub>
  PublisherComponents: Both<Api.PublisherComponents, dagsync.PublisherComponents>
  PublisherInit: Both<Api.PublisherInit, dagsync.PublisherInit>
  HttpPublisherInit: Both<Api.HttpPublisherInit, dagsync.HttpPublisherInit>
  DtsyncPublisherInit: Both<Api.DtsyncPublisherInit, dagsync.DtsyncPublisherInit>
  IpnisyncPublisherInit: Both<Api.IpnisyncPublisherInit, dagsync.IpnisyncPublisherInit>
  Publisher: Given<Api.Publisher, dagsync.Publisher>
  DagsyncError: Given<Api.DagsyncError, dagsync.DagsyncError>
  SelectorNode: Both<ApiSelector.SelectorNode, selector.SelectorNode>
  Selector: Both<ApiSelector.Selector, selector.Selector>
  RecursionLimit: Both<ApiSelector.RecursionLimit, selector.RecursionLimit>
  LoadBlock: Both<ApiSelector.LoadBlock, selector.LoadBlock>
  WalkOptions: Both<ApiSelector.WalkOptions, selector.WalkOptions>
  AnnounceMessage: Both<ApiAnnounce.AnnounceMessage, announce.AnnounceMessage>
  AllowPeer: Both<ApiAnnounce.AllowPeer, announce.AllowPeer>
  Announce: Both<ApiAnnounce.Announce, announce.Announce>
  ReceiverInit: Both<ApiAnnounce.ReceiverInit, announce.ReceiverInit>
  Receiver: Given<ApiAnnounce.Receiver, announce.Receiver>
  AnnounceResult: Both<ApiAnnounce.AnnounceResult, announce.AnnounceResult>
  AnnounceSender: Both<ApiAnnounce.AnnounceSender, announce.AnnounceSender>
  Syncer: Both<ApiSyncer.Syncer, syncer.Syncer>
  GraphExchange: Both<ApiGraphsync.GraphExchange, graphsync.GraphExchange>
  GraphsyncMessage: Both<ApiGraphsync.GraphsyncMessage, graphsync.GraphsyncMessage>
  DataTransfer: Both<ApiDataTransfer.DataTransfer, dataTransfer.DataTransfer>
  TransferMessage: Both<ApiDataTransfer.TransferMessage, dataTransfer.TransferMessage>
  GraphsyncRequest: Both<ApiGraphsync.GraphsyncRequest, graphsync.GraphsyncRequest>
  GraphsyncResponse: Both<ApiGraphsync.GraphsyncResponse, graphsync.GraphsyncResponse>
  RequestType: Both<ApiGraphsync.RequestType, graphsync.RequestType>
  LinkAction: Both<ApiGraphsync.LinkAction, graphsync.LinkAction>
  RequestOptions: Both<ApiGraphsync.RequestOptions, graphsync.RequestOptions>
  RequestValidator: Both<ApiGraphsync.RequestValidator, graphsync.RequestValidator>
  TransferRequest: Both<ApiDataTransfer.TransferRequest, dataTransfer.TransferRequest>
  TransferResponse: Both<ApiDataTransfer.TransferResponse, dataTransfer.TransferResponse>
  VoucherValidator: Both<ApiDataTransfer.VoucherValidator, dataTransfer.VoucherValidator>
  LegsVoucher: Both<ApiDtsync.LegsVoucher, dtsync.LegsVoucher>
  LegsVoucherResult: Both<ApiDtsync.LegsVoucherResult, dtsync.LegsVoucherResult>
  HeadServer: Both<ApiDtsync.HeadServer, dtsync.HeadServer>
} = {
  LinkSystem: true,
  StoreOptions: true,
  SyncTarget: true,
  SubscriberComponents: true,
  SubscriberInit: true,
  LastKnownSync: true,
  BlockHook: true,
  SegmentSyncActions: true,
  SyncOptions: true,
  SyncFinished: true,
  SyncProgressEvents: true,
  Subscriber: true,
  AddressBook: true,
  PubSub: true,
  PublisherComponents: true,
  PublisherInit: true,
  HttpPublisherInit: true,
  DtsyncPublisherInit: true,
  IpnisyncPublisherInit: true,
  Publisher: true,
  DagsyncError: true,
  SelectorNode: true,
  Selector: true,
  RecursionLimit: true,
  LoadBlock: true,
  WalkOptions: true,
  AnnounceMessage: true,
  AllowPeer: true,
  Announce: true,
  ReceiverInit: true,
  Receiver: true,
  AnnounceResult: true,
  AnnounceSender: true,
  Syncer: true,
  GraphExchange: true,
  GraphsyncMessage: true,
  DataTransfer: true,
  TransferMessage: true,
  GraphsyncRequest: true,
  GraphsyncResponse: true,
  RequestType: true,
  LinkAction: true,
  RequestOptions: true,
  RequestValidator: true,
  TransferRequest: true,
  TransferResponse: true,
  VoucherValidator: true,
  LegsVoucher: true,
  LegsVoucherResult: true,
  HeadServer: true
}
